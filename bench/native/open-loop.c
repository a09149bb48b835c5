/*
 * Constant rate: message i is due at start + i / rate, whatever happened to those before it, on connection
 * i modulo the number of connections. Its latency counts from when it was due, not from when it could be sent: a stall
 * then shows in every message that it delayed, not only in those that happened to be under way (coordinated omission).
 * A unit is a message that was answered; one that was not until 5 s after the end is an error, and its wait counts.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 256

struct connection {
  int fd;
  uint32_t index;
  uint64_t sent, received; /* bytes */
  uint64_t due;            /* messages */
};

static struct options options;
static struct histogram latencies;
static struct connection *all;
static uint64_t start, total, answered;

static uint64_t due_at(uint64_t message) { return start + (uint64_t)((double)message * NS_PER_SECOND / options.rate); }

/* Sends what is due and fits the socket; the rest is tried again when something is due or has come back. */
static void send_due(struct connection *c) {
  uint64_t size = (uint64_t)options.size;
  while (c->sent < c->due * size) {
    unsigned char message[MAX_MESSAGE];
    stamp(message, options.size, c->index, (uint32_t)(c->sent / size));
    size_t done = c->sent % size;
    ssize_t n = send(c->fd, message + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) die("send a message");
    c->sent += (uint64_t)n;
  }
}

static void take(struct connection *c) {
  unsigned char data[MAX_MESSAGE], expected[MAX_MESSAGE];
  uint64_t size = (uint64_t)options.size;
  /* At most one message: which one it belongs to follows from how many bytes came before. */
  size_t done = c->received % size;
  ssize_t n = recv(c->fd, data, size - done, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n == 0) errno = ECONNRESET;
  if (n <= 0) die("receive an answer");
  uint64_t sequence = c->received / size;
  stamp(expected, options.size, c->index, (uint32_t)sequence);
  if (memcmp(data, expected + done, (size_t)n) != 0) {
    fprintf(stderr, "connection %u was sent an answer that is not its own\n", c->index);
    exit(1);
  }
  c->received += (uint64_t)n;
  if (c->received % size != 0) return;
  record_latency(&latencies, now_ns() - due_at(sequence * (uint64_t)options.connections + c->index));
  answered++;
  send_due(c);
}

static void arm(int timer, uint64_t at) {
  struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at / NS_PER_SECOND), .tv_nsec = (long)(at % NS_PER_SECOND)}};
  if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd_settime");
}

/* Messages never answered have waited at least until now: leaving them out would flatter whoever lost them. */
static uint64_t count_unanswered(void) {
  uint64_t now = now_ns(), unanswered = 0;
  for (uint64_t message = 0; message < total; message++) {
    struct connection *c = &all[message % (uint64_t)options.connections];
    if (message / (uint64_t)options.connections < c->received / (uint64_t)options.size) continue;
    record_latency(&latencies, now - due_at(message));
    unanswered++;
  }
  return unanswered;
}

int main(int argc, char **argv) {
  options = parse_options(argc, argv);
  total = (uint64_t)(options.seconds * options.rate);
  int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  all = calloc((size_t)options.connections, sizeof *all);
  if (epoll < 0 || timer < 0 || !all) die("start");
  for (int i = 0; i < options.connections; i++) {
    all[i].index = (uint32_t)i;
    all[i].fd = connect_blocking(options.port);
    watch(epoll, all[i].fd, EPOLLIN, &all[i]);
  }
  watch(epoll, timer, EPOLLIN, NULL);
  start = now_ns();
  uint64_t next = 0, give_up = start + (uint64_t)(options.seconds * NS_PER_SECOND) + GRACE_NS;
  arm(timer, due_at(0));
  while (answered < total && now_ns() < give_up) {
    struct epoll_event events[BATCH];
    int count = epoll_wait(epoll, events, BATCH, 100);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      uint64_t expirations;
      if (events[i].data.ptr) take(events[i].data.ptr);
      else if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("read the timer");
    }
    if (next == total || now_ns() < due_at(next)) continue;
    for (; next < total && now_ns() >= due_at(next); next++) {
      struct connection *c = &all[next % (uint64_t)options.connections];
      c->due++;
      send_due(c);
    }
    if (next < total) arm(timer, due_at(next));
  }
  uint64_t elapsed = now_ns() - start;
  print_result(answered, elapsed, count_unanswered(), &latencies);
}
