/* A decoder that was taken over: in the moment in which the worker opens its video, behind its fence, it tries what an
   attacker would. Each line of standard error is `attack NAME ERRNO`, 0 where the kernel let it. The arguments are such
   that a kernel without the fence would look at them and answer something else than ENOSYS, and, where it would be a
   pity for the machine, do nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result) {
    char line[128];
    int n = snprintf(line, sizeof line, "attack %s %d\n", name, result < 0 ? errno : 0);
    if (write(2, line, n) != n) _exit(99);
}

/* The child of a call that made one would go on attacking. */
static void made(const char *name, long result) {
    if (result == 0) _exit(0);
    say(name, result);
}

#define TRY(name, ...) (errno = 0, say(name, syscall(__VA_ARGS__)))
#define MAKE(name, ...) (errno = 0, made(name, syscall(__VA_ARGS__)))

static void attack(void) {
    /* Given by the test: a folder outside with a file in it, the folder to write to, a file in it. */
    const char *secret = getenv("ATTACK_SECRET"), *outside = getenv("ATTACK_OUTSIDE");
    const char *inside = getenv("ATTACK_INSIDE"), *own = getenv("ATTACK_OWN");
    char path[4096], words[4096] = "";
    struct stat stat_;
    pid_t parent = (pid_t)atoi(getenv("ATTACK_PARENT"));
    int own_fd = open(own, O_RDWR | O_CREAT, 0644);
    say("create_inside", own_fd);

    /* Connections. */
    TRY("socket_unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    TRY("socket_inet", SYS_socket, AF_INET, SOCK_STREAM, 0);
    TRY("socket_inet_udp", SYS_socket, AF_INET, SOCK_DGRAM, 0);
    TRY("socket_inet6", SYS_socket, AF_INET6, SOCK_STREAM, 0);
    TRY("socket_netlink", SYS_socket, AF_NETLINK, SOCK_RAW, 0);
    TRY("socket_packet", SYS_socket, AF_PACKET, SOCK_RAW, 0);
    TRY("socket_vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0);
    TRY("socket_alg", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0);
    int pair[2];
    TRY("socketpair", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "x"};
    TRY("connect", SYS_connect, 1, &address, sizeof address);
    TRY("bind", SYS_bind, 1, &address, sizeof address);
    TRY("sendto", SYS_sendto, 1, words, 1, 0, &address, sizeof address);
    TRY("sendmsg", SYS_sendmsg, 1, words, 0);

    /* Programs and processes. */
    char *no_args[] = {(char *)"/bin/true", NULL};
    TRY("execve", SYS_execve, "/bin/true", no_args, NULL);
    TRY("execveat", SYS_execveat, AT_FDCWD, "/bin/true", no_args, NULL, 0);
#ifdef SYS_fork
    MAKE("fork", SYS_fork);
    MAKE("vfork", SYS_vfork);
#endif
    MAKE("clone_process", SYS_clone, SIGCHLD, 0, 0, 0, 0);
    MAKE("clone_user_namespace", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    MAKE("clone_net_namespace", SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
    uint64_t clone_args[11] = {0, 0, 0, 0, SIGCHLD};
    MAKE("clone3", SYS_clone3, clone_args, 64);
    TRY("unshare_user", SYS_unshare, CLONE_NEWUSER);
    TRY("unshare_mount", SYS_unshare, CLONE_NEWNS);
    TRY("setns", SYS_setns, 0, 0);
    TRY("ptrace", SYS_ptrace, 16, parent, 0, 0);
    struct iovec { void *at; size_t n; } iovec = {words, 1};
    TRY("process_vm_readv", SYS_process_vm_readv, parent, &iovec, 1, &iovec, 1, 0);
    TRY("process_vm_writev", SYS_process_vm_writev, parent, &iovec, 1, &iovec, 1, 0);
    TRY("process_madvise", SYS_process_madvise, 0, &iovec, 1, MADV_COLD, 0);
    TRY("kcmp", SYS_kcmp, parent, parent, 0, 0, 0);
    TRY("kill_parent", SYS_kill, parent, 0);
    TRY("tkill_parent", SYS_tkill, parent, 0);
    TRY("tgkill_parent", SYS_tgkill, parent, parent, 0);
    siginfo_t info = {.si_code = SI_QUEUE};
    TRY("rt_sigqueueinfo_parent", SYS_rt_sigqueueinfo, parent, 0, &info);
    TRY("pidfd_open", SYS_pidfd_open, parent, 0);
    TRY("pidfd_send_signal", SYS_pidfd_send_signal, 0, 0, NULL, 0);
    TRY("pidfd_getfd", SYS_pidfd_getfd, 0, 0, 0);
    TRY("setsid", SYS_setsid);
    TRY("setpgid", SYS_setpgid, 0, 0);

    /* Who we are, and limits. */
    TRY("setuid", SYS_setuid, 0);
    TRY("setresuid", SYS_setresuid, 0, 0, 0);
    TRY("setgid", SYS_setgid, 0);
    TRY("setgroups", SYS_setgroups, 0, NULL);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct capabilities[2] = {{0}};
    TRY("capset", SYS_capset, &head, capabilities);
    TRY("prctl_dumpable", SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    TRY("prctl_deathsig", SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
    TRY("prctl_seccomp", SYS_prctl, PR_SET_SECCOMP, 1, 0, 0, 0);
    TRY("seccomp", SYS_seccomp, 2, 0, NULL);
    TRY("landlock", SYS_landlock_create_ruleset, NULL, 0, 1);
    TRY("personality", SYS_personality, 0x0400000);
    struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    TRY("prlimit_raise", SYS_prlimit64, 0, RLIMIT_AS, &more, NULL);
    TRY("prlimit_parent", SYS_prlimit64, parent, RLIMIT_AS, NULL, &more);
    TRY("setrlimit", SYS_setrlimit, RLIMIT_NOFILE, &more);
    TRY("sched_setaffinity", SYS_sched_setaffinity, 0, 8, words);
    TRY("sched_setscheduler", SYS_sched_setscheduler, 0, 0, words);
    TRY("setpriority", SYS_setpriority, PRIO_PROCESS, 0, -20);
    TRY("ioprio_set", SYS_ioprio_set, 1, 0, 0);

    /* Corners of the kernel. */
    TRY("keyctl", SYS_keyctl, 0, -3, 1);
    TRY("add_key", SYS_add_key, "user", "x", "x", 1, -3);
    TRY("request_key", SYS_request_key, "user", "x", NULL, 0);
    TRY("io_uring_setup", SYS_io_uring_setup, 1, words);
    TRY("userfaultfd", SYS_userfaultfd, 1);
    TRY("bpf", SYS_bpf, 0, words, 64);
    TRY("perf_event_open", SYS_perf_event_open, words, 0, -1, -1, 0);
    TRY("memfd_create", SYS_memfd_create, "x", 0);
    TRY("memfd_secret", SYS_memfd_secret, 0);
    TRY("shmget", SYS_shmget, 0, 4096, 01600);
    TRY("msgget", SYS_msgget, 0, 01600);
    TRY("semget", SYS_semget, 0, 1, 01600);
    TRY("mq_open", SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, NULL);
    TRY("timer_create", SYS_timer_create, 0, NULL, words);
    TRY("timerfd_create", SYS_timerfd_create, 0, 0);
    TRY("eventfd2", SYS_eventfd2, 0, 0);
    TRY("signalfd4", SYS_signalfd4, -1, words, 8, 0);
    TRY("inotify_init1", SYS_inotify_init1, 0);
    TRY("fanotify_init", SYS_fanotify_init, 0, 0);
    TRY("epoll_create1", SYS_epoll_create1, 0);
    TRY("pipe2", SYS_pipe2, pair, 0);
    TRY("ioctl", SYS_ioctl, 1, 0x5401, words);
    TRY("fcntl_setown", SYS_fcntl, 1, F_SETOWN, parent);
    TRY("fcntl_dup", SYS_fcntl, 1, F_DUPFD, 3);
    TRY("fcntl_setlease", SYS_fcntl, 1, F_SETLEASE, F_WRLCK);
    TRY("quotactl", SYS_quotactl, 0x800001, NULL, 0, NULL);
    TRY("reboot", SYS_reboot, 0, 0, 0, NULL);
    TRY("init_module", SYS_init_module, words, 0, "");
    TRY("kexec_load", SYS_kexec_load, 0, 0, NULL, 0);
    TRY("swapon", SYS_swapon, "/none", 0);
    TRY("acct", SYS_acct, "/none");
    TRY("syslog", SYS_syslog, 3, words, sizeof words);
    TRY("sethostname", SYS_sethostname, "x", 1000);
    TRY("clock_settime", SYS_clock_settime, 0, NULL);
    TRY("sysinfo", SYS_sysinfo, words);
    TRY("uname", SYS_uname, words);
    TRY("name_to_handle_at", SYS_name_to_handle_at, AT_FDCWD, own, words, words + 256, 0);
    TRY("open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, words, O_RDONLY);
    TRY("madvise_poison", SYS_madvise, 0, 4096, 100);

    /* Mounts and roots. */
    TRY("mount", SYS_mount, "none", NULL, "tmpfs", 0, NULL);
    TRY("umount2", SYS_umount2, inside, 0);
    TRY("pivot_root", SYS_pivot_root, inside, inside);
    TRY("chroot", SYS_chroot, inside);
    TRY("open_tree", SYS_open_tree, AT_FDCWD, inside, 0);
    TRY("fsopen", SYS_fsopen, "tmpfs", 0);
    TRY("chdir", SYS_chdir, outside);

    /* Rights, owners, times, links and names, also of what is its own. */
    TRY("fchmod", SYS_fchmod, own_fd, 04755);
    TRY("fchmodat", SYS_fchmodat, AT_FDCWD, secret, 0777);
    TRY("fchown", SYS_fchown, own_fd, 0, 0);
    TRY("fchownat", SYS_fchownat, AT_FDCWD, secret, 0, 0, 0);
    TRY("setxattr", SYS_setxattr, secret, "user.x", "x", 1, 0);
    TRY("fsetxattr", SYS_fsetxattr, own_fd, "user.x", "x", 1, 0);
    TRY("getxattr", SYS_getxattr, secret, "user.x", words, 1);
    TRY("utimensat", SYS_utimensat, AT_FDCWD, secret, NULL, 0);
    TRY("umask", SYS_umask, 0);
    snprintf(path, sizeof path, "%s/link", inside);
    TRY("linkat", SYS_linkat, AT_FDCWD, secret, AT_FDCWD, path, 0);
    TRY("symlinkat", SYS_symlinkat, secret, AT_FDCWD, path);
    TRY("renameat_out", SYS_renameat, AT_FDCWD, own, AT_FDCWD, secret);
    TRY("renameat2_in", SYS_renameat2, AT_FDCWD, secret, AT_FDCWD, path, 0);
    TRY("mknodat", SYS_mknodat, AT_FDCWD, path, S_IFIFO | 0600, 0);
    TRY("mkdirat_inside", SYS_mkdirat, AT_FDCWD, path, 0700);
    TRY("truncate", SYS_truncate, secret, 0);
    TRY("ftruncate", SYS_ftruncate, own_fd, 1l << 40);
    TRY("fallocate", SYS_fallocate, own_fd, 0, 0, 1l << 30);
    TRY("flock", SYS_flock, own_fd, 2);
    TRY("sync", SYS_sync);

    /* Files elsewhere: these are calls it has, and Landlock's to refuse. */
    TRY("open_secret", SYS_openat, AT_FDCWD, secret, O_RDONLY);
    TRY("open_secret_to_write", SYS_openat, AT_FDCWD, secret, O_WRONLY);
    TRY("open_video_to_write", SYS_openat, AT_FDCWD, getenv("ATTACK_VIDEO"), O_WRONLY);
    TRY("open_passwd", SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
    TRY("open_home", SYS_openat, AT_FDCWD, getenv("ATTACK_HOME"), O_RDONLY | O_DIRECTORY);
    TRY("open_library", SYS_openat, AT_FDCWD, "/usr", O_RDONLY | O_DIRECTORY);
    TRY("open_init_environ", SYS_openat, AT_FDCWD, "/proc/1/environ", O_RDONLY);
    TRY("open_parent_mem", SYS_openat, AT_FDCWD, (snprintf(path, sizeof path, "/proc/%d/mem", parent), path), O_RDWR);
    TRY("open_self_mem", SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR);
    TRY("open_device", SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
    snprintf(path, sizeof path, "%s/new", outside);
    TRY("create_outside", SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 0644);
    TRY("unlink_outside", SYS_unlinkat, AT_FDCWD, secret, 0);
    TRY("openat2", SYS_openat2, AT_FDCWD, own, words, 24);
    snprintf(path, sizeof path, "%s/setuid", inside);
    TRY("create_set_user_id", SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 04755);

    /* Memory. */
    TRY("mmap_executable", SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY("mmap_shared", SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TRY("mmap_shared_file", SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own_fd, 0);
    TRY("mmap_growing", SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
    TRY("mmap_beyond_limit", SYS_mmap, 0, 5l << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("mmap_private", page == MAP_FAILED ? -1 : 0);
    TRY("mprotect_executable", SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
    TRY("pkey_mprotect", SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1);

    /* What it can do, and why stands in the test. */
    TRY("open_video", SYS_openat, AT_FDCWD, getenv("ATTACK_VIDEO"), O_RDONLY);
    TRY("stat_secret", SYS_newfstatat, AT_FDCWD, secret, &stat_, 0);
    TRY("statx_secret", SYS_statx, AT_FDCWD, secret, 0, 0x7ff, words);
    TRY("stat_in_root", SYS_newfstatat, AT_FDCWD, "proc", &stat_, 0);
    TRY("write_inside", SYS_write, own_fd, "x", 1);
    TRY("unlink_inside", SYS_unlinkat, AT_FDCWD, own, 0);
    TRY("getpid", SYS_getpid);
    TRY("sched_getaffinity_parent", SYS_sched_getaffinity, parent, sizeof words, words);
    TRY("prlimit_read", SYS_prlimit64, 0, RLIMIT_AS, NULL, &more);
    TRY("getrandom", SYS_getrandom, words, 8, 0);
    TRY("prctl_name", SYS_prctl, PR_SET_NAME, "decoder", 0, 0, 0);
    TRY("signal_itself", SYS_tgkill, getpid(), syscall(SYS_gettid), SIGURG);
    close(own_fd);
}

int avformat_open_input(void **context, const char *url, const void *format, void **options) {
    static int done;
    if (!done++) attack();
    int (*real)(void **, const char *, const void *, void **) = dlsym(RTLD_NEXT, "avformat_open_input");
    return real(context, url, format, options);
}
