/*
 * A new connection for every request: connect, send a message, wait for it to come back, close, and again, with
 * --connections of them under way at a time. A unit is a connection that was answered; its latency counts from connect().
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256

struct slot {
  int fd; /* -1: none under way */
  uint32_t index, sequence;
  int asked, received;
  uint64_t started_at;
};

static struct options options;
static struct histogram latencies;
static uint64_t answered, failed;
static int epoll, under_way;

static void start(struct slot *slot) {
  slot->asked = slot->received = 0;
  slot->sequence++;
  slot->started_at = now_ns();
  slot->fd = start_connect(options.port);
  if (slot->fd < 0) die("connect");
  under_way++;
  watch(epoll, slot->fd, EPOLLIN | EPOLLOUT | EPOLLET, slot);
}

static void finish(struct slot *slot, int ok) {
  close(slot->fd);
  slot->fd = -1;
  under_way--;
  if (!ok) failed++;
  else answered++, record_latency(&latencies, now_ns() - slot->started_at);
}

/* Goes as far as it can; at the end the slot has no connection. */
static void advance(struct slot *slot, uint32_t events) {
  unsigned char request[MAX_MESSAGE], answer[MAX_MESSAGE];
  stamp(request, options.size, slot->index, slot->sequence);
  if (!slot->asked) {
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return;
    if (send(slot->fd, request, (size_t)options.size, MSG_NOSIGNAL) != options.size) return finish(slot, 0);
    slot->asked = 1;
  }
  while (slot->received < options.size) {
    ssize_t n = recv(slot->fd, answer, (size_t)(options.size - slot->received), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || memcmp(answer, request + slot->received, (size_t)n) != 0) return finish(slot, 0);
    slot->received += (int)n;
  }
  finish(slot, 1);
}

int main(int argc, char **argv) {
  options = parse_options(argc, argv);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct slot *slots = calloc((size_t)options.connections, sizeof *slots);
  if (epoll < 0 || !slots) die("start");
  uint64_t begin = now_ns(), deadline = begin + (uint64_t)(options.seconds * NS_PER_SECOND);
  for (int i = 0; i < options.connections; i++) {
    slots[i].index = (uint32_t)i;
    start(&slots[i]);
  }
  while (under_way > 0 && now_ns() < deadline + GRACE_NS) {
    struct epoll_event events[BATCH];
    int count = epoll_wait(epoll, events, BATCH, 100);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct slot *slot = events[i].data.ptr;
      advance(slot, events[i].events);
      if (slot->fd < 0 && now_ns() < deadline) start(slot);
    }
  }
  print_result(answered, now_ns() - begin, failed + (uint64_t)under_way, &latencies);
}
