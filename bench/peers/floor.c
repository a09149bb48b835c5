/*
 * The floor: a relay that does nothing but relay, in C, over one edge-triggered epoll. What it costs is the kernel's
 * price for the job, and the least that any proxy in user space can cost. It does the job properly all the same:
 * half-close, resets passed on, back-pressure, connections refused, descriptors used up.
 *
 *   floor LISTEN_PORT UPSTREAM_PORT        both on 127.0.0.1
 *
 * Short messages take one recv() and one send(). A direction whose read fills the buffer goes over to splice()
 * through a pipe, and back when its source has run dry. An idle connection holds no buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (64 * 1024)
/* As large as an unprivileged process may make it by default (/proc/sys/fs/pipe-max-size). */
#define PIPE (1024 * 1024)
#define BATCH 256

/* One way through a relay: from the socket of its own side to that of the other. */
struct direction {
  char *held; /* read but not yet sent: the other side was full */
  size_t held_offset, held_length;
  int pipe[2];
  size_t piped;
  int splicing, at_end, ended;
};

struct side {
  int fd;
  struct relay *relay;
  struct direction out; /* what this side sends */
};

struct relay {
  struct side client, server;
  int connected, dead;
  struct relay *next_dead;
};

static int epoll, listener, accept_paused;
static struct sockaddr_in upstream;
static struct relay *graveyard;
static char buffer[BUFFER];

static void die(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct side *other(struct side *side) {
  return side == &side->relay->client ? &side->relay->server : &side->relay->client;
}

static void close_direction(struct direction *direction) {
  free(direction->held);
  if (direction->pipe[0] < 0) return;
  close(direction->pipe[0]);
  close(direction->pipe[1]);
}

/* Frees nothing: the batch of events at hand may name this relay again. bury() does. */
static void end(struct relay *relay, int reset) {
  if (relay->dead) return;
  struct linger abort = {.l_onoff = 1, .l_linger = 0};
  for (int i = 0; i < 2; i++) {
    struct side *side = i ? &relay->server : &relay->client;
    if (reset) setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    close(side->fd);
    close_direction(&side->out);
  }
  relay->dead = 1;
  relay->next_dead = graveyard;
  graveyard = relay;
}

static void bury(void) {
  while (graveyard) {
    struct relay *relay = graveyard;
    graveyard = relay->next_dead;
    free(relay);
  }
}

/* The results of one step: go on, wait for an event, or the connection is broken. */
enum step { GO_ON, WAIT, BROKEN };

static enum step failed(void) { return errno == EAGAIN ? WAIT : errno == EINTR ? GO_ON : BROKEN; }

static enum step hold(struct direction *direction, size_t offset, size_t length) {
  direction->held = malloc(length);
  if (!direction->held) return BROKEN;
  memcpy(direction->held, buffer + offset, length);
  direction->held_offset = 0;
  direction->held_length = length;
  return GO_ON;
}

static enum step send_held(struct direction *direction, int to) {
  ssize_t n = send(to, direction->held + direction->held_offset, direction->held_length - direction->held_offset, MSG_NOSIGNAL);
  if (n < 0) return failed();
  direction->held_offset += (size_t)n;
  if (direction->held_offset < direction->held_length) return GO_ON;
  free(direction->held);
  direction->held = NULL;
  return GO_ON;
}

static enum step send_piped(struct direction *direction, int to) {
  ssize_t n = splice(direction->pipe[0], NULL, to, NULL, direction->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n < 0) return failed();
  direction->piped -= (size_t)n;
  return GO_ON;
}

static enum step fill_pipe(struct direction *direction, int from) {
  ssize_t n = splice(from, NULL, direction->pipe[1], NULL, PIPE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) direction->piped = (size_t)n;
  else if (n == 0) direction->at_end = 1;
  else if (errno == EAGAIN) direction->splicing = 0;
  else return failed();
  return n < 0 ? WAIT : GO_ON;
}

/* Where there is no pipe to be had, this direction goes on copying. */
static void start_splicing(struct direction *direction) {
  if (direction->pipe[0] < 0) {
    if (pipe2(direction->pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
      direction->pipe[0] = -1;
      return;
    }
    fcntl(direction->pipe[1], F_SETPIPE_SZ, PIPE);
  }
  direction->splicing = 1;
}

/* `hangup`: the event said that the source has ended, so a short read is no reason to wait for another event. */
static enum step copy(struct direction *direction, int from, int to, int hangup) {
  ssize_t got = recv(from, buffer, BUFFER, 0);
  if (got < 0) return failed();
  if (got == 0) {
    direction->at_end = 1;
    return GO_ON;
  }
  if (got == BUFFER) start_splicing(direction);
  ssize_t sent = send(to, buffer, (size_t)got, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return BROKEN;
  if (sent < 0) sent = 0;
  if (sent < got) return hold(direction, (size_t)sent, (size_t)(got - sent));
  return got < BUFFER && !hangup ? WAIT : GO_ON;
}

/* Moves what can be moved from `from` to the other side. */
static enum step pump(struct side *from, int hangup) {
  struct side *to = other(from);
  struct direction *direction = &to->out;
  enum step step = GO_ON;
  while (step == GO_ON && !direction->ended) {
    if (direction->held) step = send_held(direction, to->fd);
    else if (direction->piped > 0) step = send_piped(direction, to->fd);
    else if (direction->at_end) {
      shutdown(to->fd, SHUT_WR);
      direction->ended = 1;
    } else if (direction->splicing) step = fill_pipe(direction, from->fd);
    else step = copy(direction, from->fd, to->fd, hangup);
  }
  return step;
}

static void watch(struct side *side) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = side};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, side->fd, &event) < 0) end(side->relay, 1);
}

static void handle(struct side *side, uint32_t events) {
  struct relay *relay = side->relay;
  if (relay->dead) return;
  if (!relay->connected) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error || !(events & EPOLLOUT)) return end(relay, 1);
    relay->connected = 1;
    /* The client is watched from here on: nothing it sends is read before there is somewhere to send it. */
    return watch(&relay->client);
  }
  if (events & EPOLLERR) return end(relay, 1);
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP) && pump(side, events & EPOLLRDHUP) == BROKEN) return end(relay, 1);
  struct direction *out = &side->out;
  if (events & EPOLLOUT && (out->held || out->piped > 0) && pump(other(side), 1) == BROKEN) return end(relay, 1);
  if (relay->client.out.ended && relay->server.out.ended) end(relay, 0);
}

static int open_upstream(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) return -1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (struct sockaddr *)&upstream, sizeof upstream) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

static void adopt(int client) {
  int one = 1, server = open_upstream();
  struct relay *relay = server < 0 ? NULL : calloc(1, sizeof *relay);
  if (!relay) {
    if (server >= 0) close(server);
    close(client);
    return;
  }
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  relay->client = (struct side){.fd = client, .relay = relay, .out = {.pipe = {-1, -1}}};
  relay->server = (struct side){.fd = server, .relay = relay, .out = {.pipe = {-1, -1}}};
  watch(&relay->server);
}

/* Out of descriptors: those who wait stay in the kernel's queue until a connection here has ended. */
static void accept_all(void) {
  accept_paused = 0;
  for (;;) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) adopt(client);
    else if (errno == EAGAIN) return;
    else if (errno == EMFILE || errno == ENFILE) {
      accept_paused = 1;
      return;
    } else if (errno != EINTR && errno != ECONNABORTED) die("accept");
  }
}

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: floor LISTEN_PORT UPSTREAM_PORT\n");
    return 2;
  }
  struct sockaddr_in address = loopback(argv[1]);
  upstream = loopback(argv[2]);
  int one = 1;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  if (listen(listener, 4096) < 0) die("listen");
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL}, events[BATCH];
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll");
  for (;;) {
    int count = epoll_wait(epoll, events, BATCH, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr) handle(events[i].data.ptr, events[i].events);
      else accept_all();
    }
    int room = graveyard != NULL;
    bury();
    if (accept_paused && room) accept_all();
  }
}
