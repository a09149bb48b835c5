/*
 * Request/response over kept connections: each connection sends a message, waits for the same bytes to come back, and
 * sends the next. A unit is a request that was answered.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BATCH 256

struct connection {
  int fd;
  uint32_t index, sequence;
  int received;
  uint64_t sent_at;
  unsigned char *request;
};

static struct options options;
static struct histogram latencies;
static uint64_t answered;
static int waiting; /* connections with a request under way */

static void ask(struct connection *c) {
  stamp(c->request, options.size, c->index, c->sequence++);
  c->received = 0;
  c->sent_at = now_ns();
  if (send(c->fd, c->request, (size_t)options.size, MSG_NOSIGNAL) != options.size) die("send a request");
}

static void take(struct connection *c, uint64_t deadline) {
  unsigned char answer[MAX_MESSAGE];
  ssize_t n = recv(c->fd, answer, (size_t)(options.size - c->received), MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n == 0) errno = ECONNRESET;
  if (n <= 0) die("receive an answer");
  if (memcmp(answer, c->request + c->received, (size_t)n) != 0) {
    fprintf(stderr, "connection %u was sent an answer that is not its own\n", c->index);
    exit(1);
  }
  c->received += (int)n;
  if (c->received < options.size) return;
  uint64_t now = now_ns();
  record_latency(&latencies, now - c->sent_at);
  answered++;
  if (now < deadline) ask(c);
  else waiting--;
}

int main(int argc, char **argv) {
  options = parse_options(argc, argv);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct connection *all = calloc((size_t)options.connections, sizeof *all);
  if (epoll < 0 || !all) die("start");
  for (int i = 0; i < options.connections; i++) {
    all[i].index = (uint32_t)i;
    all[i].request = malloc((size_t)options.size);
    if (!all[i].request) die("malloc");
    all[i].fd = connect_blocking(options.port);
    watch(epoll, all[i].fd, EPOLLIN, &all[i]);
  }
  uint64_t start = now_ns(), deadline = start + (uint64_t)(options.seconds * NS_PER_SECOND);
  waiting = options.connections;
  for (int i = 0; i < options.connections; i++) ask(&all[i]);
  while (waiting > 0 && now_ns() < deadline + GRACE_NS) {
    struct epoll_event events[BATCH];
    int count = epoll_wait(epoll, events, BATCH, 100);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) take(events[i].data.ptr, deadline);
  }
  print_result(answered, now_ns() - start, (uint64_t)waiting, &latencies);
}
