/* Makes the n-th operation of a process fail, or kills the process there. Preloaded by the tests in `faults.rs`.
 *
 * FAULTS_UNDER  a folder: operations on files in it count, and no others, so that loading libraries does not
 * FAULTS_CALL   which operations: write fsync rename open mmap link unlink mkdir truncate thread
 * FAULTS_AT     the n-th fails; 0: none, they are only counted
 * FAULTS_DO     the number of the error, or `kill`
 * FAULTS_SEEN   a file that gets the number of operations counted, at the end of the process or just before the fault
 *
 * `thread` is the start of any thread and belongs to no folder. Counting is over all threads of the process; child
 * processes are left alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char under[PATH_MAX], call[32], seen[PATH_MAX];
static long at;
static int error;
static int kills;
static int active;
static atomic_long count;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void tell(void) {
  char text[32];
  int length = snprintf(text, sizeof text, "%ld\n", atomic_load(&count));
  int fd = (int)syscall(SYS_openat, AT_FDCWD, seen, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, text, (size_t)length);
  syscall(SYS_close, fd);
}

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("FAULTS_UNDER"), *what = getenv("FAULTS_CALL"), *n = getenv("FAULTS_AT");
  const char *how = getenv("FAULTS_DO"), *file = getenv("FAULTS_SEEN");
  unsetenv("LD_PRELOAD");
  if (!folder || !what || !n || !how || !file) return;
  snprintf(under, sizeof under, "%s", folder);
  snprintf(call, sizeof call, "%s", what);
  snprintf(seen, sizeof seen, "%s", file);
  at = atol(n);
  kills = strcmp(how, "kill") == 0;
  error = atoi(how);
  active = 1;
}

__attribute__((destructor)) static void end(void) {
  if (active) tell();
}

/* True when this operation is the one that fails, with errno set. */
static int fails(const char *what) {
  if (!active || strcmp(what, call) != 0) return 0;
  if (atomic_fetch_add(&count, 1) + 1 != at) return 0;
  tell();
  if (kills) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
  }
  errno = error;
  return 1;
}

static int inside(const char *path) {
  size_t length = strlen(under);
  return strncmp(path, under, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_ours_fd(int fd) {
  char link[64], path[PATH_MAX];
  int before = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlink, link, path, sizeof path - 1);
  errno = before;
  if (length < 0) return 0;
  path[length] = 0;
  return inside(path);
}

static int is_ours(int folder, const char *path) {
  if (path && path[0] == '/') return inside(path);
  if (folder != AT_FDCWD) return is_ours_fd(folder);
  char whole[2 * PATH_MAX];
  if (!path || syscall(SYS_getcwd, whole, PATH_MAX) <= 0) return 0;
  size_t length = strlen(whole);
  snprintf(whole + length, sizeof whole - length, "/%s", path);
  return inside(whole);
}

#define FD(what, fd) (active && is_ours_fd(fd) && fails(what))
#define PATH(what, folder, path) (active && is_ours(folder, path) && fails(what))

/* Opening. */
#define MODE(flags, last)                                                                       \
  mode_t mode = 0;                                                                              \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                                                        \
    va_list rest;                                                                               \
    va_start(rest, last);                                                                       \
    mode = va_arg(rest, mode_t);                                                                \
    va_end(rest);                                                                               \
  }
int open(const char *path, int flags, ...) {
  MODE(flags, flags)
  return PATH("open", AT_FDCWD, path) ? -1 : NEXT(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags, flags)
  return PATH("open", AT_FDCWD, path) ? -1 : NEXT(open64)(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
  MODE(flags, flags)
  return PATH("open", folder, path) ? -1 : NEXT(openat)(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
  MODE(flags, flags)
  return PATH("open", folder, path) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}
DIR *opendir(const char *path) { return PATH("open", AT_FDCWD, path) ? NULL : NEXT(opendir)(path); }

/* Writing. */
ssize_t write(int fd, const void *data, size_t n) { return FD("write", fd) ? -1 : NEXT(write)(fd, data, n); }
ssize_t writev(int fd, const struct iovec *data, int n) { return FD("write", fd) ? -1 : NEXT(writev)(fd, data, n); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t to) {
  return FD("write", fd) ? -1 : NEXT(pwrite)(fd, data, n, to);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t to) {
  return FD("write", fd) ? -1 : NEXT(pwrite64)(fd, data, n, to);
}
ssize_t copy_file_range(int from, off64_t *in, int fd, off64_t *out, size_t n, unsigned flags) {
  return FD("write", fd) ? -1 : NEXT(copy_file_range)(from, in, fd, out, n, flags);
}

/* Getting it to the disk. */
int fsync(int fd) { return FD("fsync", fd) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return FD("fsync", fd) ? -1 : NEXT(fdatasync)(fd); }
int syncfs(int fd) { return FD("fsync", fd) ? -1 : NEXT(syncfs)(fd); }

/* Names. */
int rename(const char *from, const char *to) { return PATH("rename", AT_FDCWD, to) ? -1 : NEXT(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
  return PATH("rename", b, to) ? -1 : NEXT(renameat)(a, from, b, to);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  return PATH("rename", b, to) ? -1 : NEXT(renameat2)(a, from, b, to, flags);
}
int link(const char *from, const char *to) { return PATH("link", AT_FDCWD, to) ? -1 : NEXT(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
  return PATH("link", b, to) ? -1 : NEXT(linkat)(a, from, b, to, flags);
}
int unlink(const char *path) { return PATH("unlink", AT_FDCWD, path) ? -1 : NEXT(unlink)(path); }
int unlinkat(int folder, const char *path, int flags) {
  return PATH("unlink", folder, path) ? -1 : NEXT(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) { return PATH("unlink", AT_FDCWD, path) ? -1 : NEXT(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return PATH("mkdir", AT_FDCWD, path) ? -1 : NEXT(mkdir)(path, mode); }

/* Sizes. */
int ftruncate(int fd, off_t size) { return FD("truncate", fd) ? -1 : NEXT(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return FD("truncate", fd) ? -1 : NEXT(ftruncate64)(fd, size); }

/* Mappings and threads. */
void *mmap(void *where, size_t n, int protection, int flags, int fd, off_t from) {
  return fd >= 0 && FD("mmap", fd) ? MAP_FAILED : NEXT(mmap)(where, n, protection, flags, fd, from);
}
void *mmap64(void *where, size_t n, int protection, int flags, int fd, off64_t from) {
  return fd >= 0 && FD("mmap", fd) ? MAP_FAILED : NEXT(mmap64)(where, n, protection, flags, fd, from);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  return fails("thread") ? error : NEXT(pthread_create)(thread, attributes, run, argument);
}
