/*
 * One connection carries as much as it can for --seconds, then half-closes and reads what the sink has to say: the
 * number of bytes and their checksum, which must be those of what was sent. A unit is a byte that arrived.
 * The block that is sent again and again lies in a memory file, so that sendfile() passes its pages on uncopied:
 * the sender must cost less than what it measures.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* No power of two: a proxy that repeats or swaps one of its own buffers then changes the checksum. */
#define BLOCK (1024 * 1024 - 4096 - 4)

static unsigned char block[BLOCK];

static void fill(void) {
  uint32_t state = 0x9e3779b9;
  for (size_t at = 0; at < BLOCK; at += 4) {
    /* Marsaglia's xorshift: any sequence without a short period does. */
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    memcpy(block + at, &state, 4);
  }
}

/* The checksum of a stream followed by a block, from the checksums of the two: no byte is read again. */
static void append_block(struct checksum *stream, const struct checksum *one) {
  stream->high += (uint32_t)(BLOCK / 4) * stream->low + one->high;
  stream->low += one->low;
  stream->bytes += BLOCK;
}

static void send_block(int fd, int file) {
  for (off_t sent = 0; sent < BLOCK;) {
    ssize_t n = sendfile(fd, file, &sent, (size_t)(BLOCK - sent));
    if (n < 0 && errno != EINTR) die("send the stream");
  }
}

int main(int argc, char **argv) {
  struct options options = parse_options(argc, argv);
  fill();
  struct checksum one = {0}, expected = {0}, arrived = {0};
  checksum_words(&one, block, BLOCK / 4);
  int file = memfd_create("block", MFD_CLOEXEC);
  if (file < 0 || write(file, block, BLOCK) != BLOCK) die("write the block to memory");
  int fd = connect_blocking(options.port);

  uint64_t start = now_ns(), deadline = start + (uint64_t)(options.seconds * NS_PER_SECOND);
  while (now_ns() < deadline) {
    send_block(fd, file);
    append_block(&expected, &one);
  }
  if (shutdown(fd, SHUT_WR) < 0) die("half-close");
  unsigned char answer[16];
  if (recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer) die("receive the sink's checksum");
  uint64_t elapsed = now_ns() - start;

  memcpy(&arrived.bytes, answer, 8);
  memcpy(&arrived.low, answer + 8, 4);
  memcpy(&arrived.high, answer + 12, 4);
  if (arrived.bytes != expected.bytes || arrived.low != expected.low || arrived.high != expected.high) {
    fprintf(stderr, "the sink got %llu bytes with checksum %08x%08x; sent were %llu with %08x%08x\n",
            (unsigned long long)arrived.bytes, arrived.high, arrived.low, (unsigned long long)expected.bytes,
            expected.high, expected.low);
    return 1;
  }
  print_result(arrived.bytes, elapsed, 0, NULL);
}
