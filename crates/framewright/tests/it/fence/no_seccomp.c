/* A kernel that does not filter system calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>

long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (number == SYS_seccomp) return errno = ENOSYS, -1;
    if (!real) real = dlsym(RTLD_NEXT, "syscall");
    /* Whatever was given lies where the real one looks for it, as far as six arguments go. */
    __builtin_va_list list;
    __builtin_va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = __builtin_va_arg(list, long);
    __builtin_va_end(list);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
