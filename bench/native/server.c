/*
 * The upstream of the benchmarks. --mode echo sends every byte back; --mode sink takes a stream to its end, then
 * answers with the number of bytes and their checksum (two 32-bit words), and closes. Serves until it is ended.
 */
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* As much as fits the second-level cache beside the rest: the checksum then reads what recv() has just written there. */
#define CHUNK (256 * 1024)
#define BATCH 256

struct connection {
  int fd;
  /* echo: what the client has not taken yet */
  unsigned char *unsent;
  size_t unsent_length;
  /* sink */
  struct checksum sum;
  unsigned char tail[4];
  unsigned tail_length;
};

static int epoll, sink;
/* The first four bytes are room for the tail of the chunk before. */
static unsigned char chunk[4 + CHUNK];

static void end(struct connection *c) {
  close(c->fd);
  free(c->unsent);
  free(c);
}

static void interest(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) < 0) die("epoll_ctl");
}

static void accept_all(int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct connection *c = calloc(1, sizeof *c);
    if (!c) die("calloc");
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(epoll, fd, EPOLLIN, c);
  }
  if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) die("accept");
}

/* The client does not read: keep what is left and stop reading from it until it does. */
static void hold(struct connection *c, const unsigned char *data, size_t length) {
  c->unsent = malloc(length);
  if (!c->unsent) die("malloc");
  memcpy(c->unsent, data, length);
  c->unsent_length = length;
  interest(c, EPOLLOUT);
}

static void flush(struct connection *c) {
  ssize_t n = send(c->fd, c->unsent, c->unsent_length, MSG_NOSIGNAL);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return end(c);
  c->unsent_length -= (size_t)n;
  memmove(c->unsent, c->unsent + n, c->unsent_length);
  if (c->unsent_length > 0) return;
  free(c->unsent);
  c->unsent = NULL;
  interest(c, EPOLLIN);
}

static void echo(struct connection *c) {
  ssize_t n = recv(c->fd, chunk, CHUNK, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return end(c);
  ssize_t sent = send(c->fd, chunk, (size_t)n, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return end(c);
  if (sent < 0) sent = 0;
  if (sent < n) hold(c, chunk + sent, (size_t)(n - sent));
}

/* The stream has ended: the answer is short and the socket's buffer empty, so that one send takes it. */
static void answer(struct connection *c) {
  if (c->tail_length > 0) {
    memset(c->tail + c->tail_length, 0, sizeof c->tail - c->tail_length);
    checksum_words(&c->sum, c->tail, 1);
  }
  unsigned char reply[16];
  memcpy(reply, &c->sum.bytes, 8);
  memcpy(reply + 8, &c->sum.low, 4);
  memcpy(reply + 12, &c->sum.high, 4);
  if (send(c->fd, reply, sizeof reply, MSG_NOSIGNAL) != sizeof reply) fprintf(stderr, "sink: the answer was not taken\n");
  end(c);
}

static void swallow(struct connection *c) {
  ssize_t n = recv(c->fd, chunk + 4, CHUNK, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return end(c);
  if (n == 0) return answer(c);
  c->sum.bytes += (uint64_t)n;
  size_t length = c->tail_length + (size_t)n;
  unsigned char *data = chunk + 4 - c->tail_length;
  memcpy(data, c->tail, c->tail_length);
  checksum_words(&c->sum, data, length / 4);
  c->tail_length = length % 4;
  memcpy(c->tail, data + length - c->tail_length, c->tail_length);
}

int main(int argc, char **argv) {
  struct options options = parse_options(argc, argv);
  sink = strcmp(options.mode, "sink") == 0;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  if (listen(listener, 4096) < 0) die("listen");
  epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener, EPOLLIN, NULL);
  for (;;) {
    struct epoll_event events[BATCH];
    int count = epoll_wait(epoll, events, BATCH, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (!c) accept_all(listener);
      else if (sink) swallow(c);
      else if (c->unsent) flush(c);
      else echo(c);
    }
  }
}
