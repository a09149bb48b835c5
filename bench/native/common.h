/*
 * What the load programs share. Each of them is one small main() over this: it takes options, drives or serves
 * loopback connections from one epoll loop, and (a client) prints its result as one line of JSON.
 * bench/load/node/ has the same programs in TypeScript, with the same options and the same output.
 */
#ifndef MESHPROXY_BENCH_COMMON_H
#define MESHPROXY_BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_SECOND 1000000000ull
/* The longest message: what a fresh socket takes in one send(), so that a message is never sent in parts. */
#define MAX_MESSAGE 16384
/* How long a client waits, after its time is up, for the answers still due. */
#define GRACE_NS (5 * NS_PER_SECOND)

struct options {
  const char *mode; /* the server's: echo or sink */
  int port;
  int connections;
  int size;       /* bytes of a message */
  double seconds; /* how long to send */
  double rate;    /* messages per second, over all connections */
};

/* Reads --mode, --port, --connections, --size, --seconds and --rate; ends the program where one is unknown or out of range. */
struct options parse_options(int argc, char **argv);

/* Says what failed, with errno's words, and ends the program with exit code 1. */
_Noreturn void die(const char *what);

/* Monotonic nanoseconds. */
uint64_t now_ns(void);

/*
 * Starts a connection to 127.0.0.1:port (non-blocking; TCP_NODELAY on). When the local ports of one loopback address
 * are used up it goes on with the next: 127.0.0.2, 127.0.0.3, ... Returns -1 with errno set where it fails at once.
 */
int start_connect(int port);

/* A connected blocking socket whose calls give up after 10 s; ends the program where it cannot be had. */
int connect_blocking(int port);

void watch(int epoll, int fd, uint32_t events, void *data);

/* Fills a message so that it says which one it is: an answer that belongs to another message is noticed. */
void stamp(unsigned char *message, int size, uint32_t connection, uint32_t sequence);

/* Latencies in logarithmic octaves of 128 linear steps each: every value is kept within 0.8 %. */
#define STEP_BITS 7
#define STEPS (1u << STEP_BITS)
#define OCTAVES 40
struct histogram {
  uint64_t counts[OCTAVES * STEPS];
};
void record_latency(struct histogram *histogram, uint64_t ns);

/* Prints {"units":…,"seconds":…,"errors":…,"latencies":[[ns,count],…]}. */
void print_result(uint64_t units, uint64_t elapsed_ns, uint64_t errors, const struct histogram *histogram);

/*
 * Fletcher's checksum over little-endian 32-bit words, modulo 2^32. `low` is the sum of the words, `high` the sum of
 * all values `low` had: it depends on the order. A tail of 1 to 3 bytes counts as a word padded with zeros.
 */
struct checksum {
  uint32_t low, high;
  uint64_t bytes;
};
void checksum_words(struct checksum *sum, const unsigned char *data, size_t words);

#endif
