/* A decoder that takes all memory it can get by mappings that it could share, and says how many GiB it got. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int avformat_open_input(void) {
    int gib = 0, kind = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    while (gib < 100 && mmap(NULL, 1l << 30, PROT_READ | PROT_WRITE, kind, -1, 0) != MAP_FAILED) gib++;
    dprintf(2, "shared %d\n", gib);
    _exit(0);
}
