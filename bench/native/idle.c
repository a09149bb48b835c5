/*
 * Opens --connections, one after the other, each with one message there and back so that it exists from end to end;
 * says "ready" and holds them, silent, until standard input ends.
 */
#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct options options = parse_options(argc, argv);
  unsigned char request[MAX_MESSAGE], answer[MAX_MESSAGE];
  for (int i = 0; i < options.connections; i++) {
    int fd = connect_blocking(options.port);
    stamp(request, options.size, (uint32_t)i, 0);
    if (send(fd, request, (size_t)options.size, MSG_NOSIGNAL) != options.size) die("send a message");
    ssize_t n = recv(fd, answer, (size_t)options.size, MSG_WAITALL);
    if (n >= 0 && n < options.size) errno = ECONNRESET;
    if (n != options.size) die("receive an answer");
    if (memcmp(answer, request, (size_t)n) != 0) {
      fprintf(stderr, "connection %d was sent an answer that is not its own\n", i);
      return 1;
    }
  }
  puts("ready");
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}
