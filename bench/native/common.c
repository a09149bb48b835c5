#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* 127.0.0.1 to 127.0.0.250: enough sources for seven million connections. */
#define LAST_SOURCE 250

void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static double number(const char *name, const char *text, double least, double most) {
  char *end;
  double value = strtod(text, &end);
  if (*text == 0 || *end != 0 || !(value >= least && value <= most)) {
    fprintf(stderr, "--%s %s: a number from %g to %g is needed\n", name, text, least, most);
    exit(2);
  }
  return value;
}

struct options parse_options(int argc, char **argv) {
  static const struct option known[] = {
      {"mode", required_argument, 0, 'm'}, {"port", required_argument, 0, 'p'},
      {"connections", required_argument, 0, 'c'}, {"size", required_argument, 0, 'b'},
      {"seconds", required_argument, 0, 's'}, {"rate", required_argument, 0, 'r'},
      {0, 0, 0, 0},
  };
  struct options options = {.mode = "echo", .connections = 1, .size = 64, .seconds = 1, .rate = 1000};
  int option;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    if (option == 'm') options.mode = optarg;
    else if (option == 'p') options.port = (int)number("port", optarg, 1, 65535);
    else if (option == 'c') options.connections = (int)number("connections", optarg, 1, 1000000);
    else if (option == 'b') options.size = (int)number("size", optarg, 8, MAX_MESSAGE);
    else if (option == 's') options.seconds = number("seconds", optarg, 0.01, 3600);
    else if (option == 'r') options.rate = number("rate", optarg, 1, 10000000);
    else exit(2);
  }
  if (options.port == 0) {
    fprintf(stderr, "--port is needed\n");
    exit(2);
  }
  return options;
}

uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

static struct sockaddr_in loopback(unsigned host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl((127u << 24) + host);
  return address;
}

static int connect_from(unsigned source, int port, int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) return -1;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in from = loopback(source, 0), to = loopback(1, port);
  if (source > 1) {
    /* Without this, bind() would take a port that is free for every destination, and run out much sooner. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind to a loopback address");
  }
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS) return fd;
  int why = errno;
  close(fd);
  errno = why;
  return -1;
}

static unsigned source = 1;

static int connect_any(int port, int flags) {
  for (;;) {
    int fd = connect_from(source, port, flags);
    if (fd >= 0 || errno != EADDRNOTAVAIL || source == LAST_SOURCE) return fd;
    source++;
  }
}

int start_connect(int port) { return connect_any(port, SOCK_NONBLOCK); }

int connect_blocking(int port) {
  int fd = connect_any(port, 0);
  if (fd < 0) die("connect");
  struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

void watch(int epoll, int fd, uint32_t events, void *data) {
  struct epoll_event event = {.events = events, .data.ptr = data};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

void stamp(unsigned char *message, int size, uint32_t connection, uint32_t sequence) {
  uint32_t words[2] = {connection, sequence};
  for (int at = 0; at < size; at += 8) memcpy(message + at, words, size - at < 8 ? (size_t)(size - at) : 8);
}

void record_latency(struct histogram *histogram, uint64_t ns) {
  unsigned octave = ns < STEPS ? 0 : 63u - (unsigned)__builtin_clzll(ns) - (STEP_BITS - 1);
  uint64_t step = ns < STEPS ? ns : (ns >> (octave - 1)) - STEPS;
  if (octave >= OCTAVES) octave = OCTAVES - 1, step = STEPS - 1;
  histogram->counts[octave * STEPS + step]++;
}

/* The middle of the values that a counter stands for. */
static uint64_t latency_of(unsigned index) {
  unsigned octave = index / STEPS;
  uint64_t step = index % STEPS;
  if (octave == 0) return step;
  uint64_t width = 1ull << (octave - 1);
  return (STEPS + step) * width + width / 2;
}

void print_result(uint64_t units, uint64_t elapsed_ns, uint64_t errors, const struct histogram *histogram) {
  printf("{\"units\":%llu,\"seconds\":%.9f,\"errors\":%llu,\"latencies\":[", (unsigned long long)units,
         (double)elapsed_ns / NS_PER_SECOND, (unsigned long long)errors);
  const char *separator = "";
  for (unsigned i = 0; histogram && i < OCTAVES * STEPS; i++) {
    if (histogram->counts[i] == 0) continue;
    printf("%s[%llu,%llu]", separator, (unsigned long long)latency_of(i), (unsigned long long)histogram->counts[i]);
    separator = ",";
  }
  printf("]}\n");
}

void checksum_words(struct checksum *sum, const unsigned char *data, size_t words) {
  uint32_t low = sum->low, high = sum->high;
  for (size_t i = 0; i < words; i++) {
    uint32_t word;
    memcpy(&word, data + 4 * i, 4);
    low += word;
    high += low;
  }
  sum->low = low;
  sum->high = high;
}
