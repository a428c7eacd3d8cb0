/*
 * Stands between a program and its disk (LD_PRELOAD), and fails or delays the calls that a test asks for.
 *
 * The test writes what is to happen into a file of 64-bit words (FAREGATE_FAULTS) that is mapped here, and
 * reads from it how many calls there were and how many were hit. Without that file nothing happens.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, CREATE = 4, CUT = 8 };

/* The words in the order in which faults/shim.rs writes them. */
struct fault {
    int64_t armed;    /* written last */
    int64_t calls;    /* which, of the bits above */
    int64_t first;    /* the first call that is hit, from 1 */
    int64_t count;    /* how many are hit from there; 0: all */
    int64_t error;    /* errno; 0: the call goes on, late */
    int64_t delay_ms; /* before that */
    int64_t partial;  /* the first write that is hit takes half of what it is given */
    int64_t seen;     /* told back: calls that matched */
    int64_t hits;     /* told back: calls that were hit */
    char path[128];   /* what the file's path must contain */
};

static struct fault *fault;

__attribute__((constructor)) static void map_fault(void) {
    const char *path = getenv("FAREGATE_FAULTS");
    if (path == NULL) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    void *mapped = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) abort();
    fault = mapped;
}

static int is_armed(int call) {
    return fault != NULL && __atomic_load_n(&fault->armed, __ATOMIC_ACQUIRE) && (fault->calls & call);
}

enum outcome { PASS, FAIL, HALF };

/* Decides about a call that matched, and waits and sets errno as it is asked to. */
static enum outcome decide(int call) {
    int64_t number = __atomic_add_fetch(&fault->seen, 1, __ATOMIC_SEQ_CST);
    if (number < fault->first) return PASS;
    if (fault->count != 0 && number >= fault->first + fault->count) return PASS;
    if (fault->delay_ms > 0) {
        struct timespec pause = {fault->delay_ms / 1000, fault->delay_ms % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    int64_t hit = __atomic_add_fetch(&fault->hits, 1, __ATOMIC_SEQ_CST);
    if (fault->error == 0) return PASS;
    if (call == WRITE && fault->partial && hit == 1) return HALF;
    errno = (int)fault->error;
    return FAIL;
}

static enum outcome on_fd(int call, int fd) {
    if (!is_armed(call)) return PASS;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return PASS;
    path[length] = 0;
    return strstr(path, fault->path) == NULL ? PASS : decide(call);
}

static enum outcome on_path(int call, const char *path) {
    if (!is_armed(call) || strstr(path, fault->path) == NULL) return PASS;
    return decide(call);
}

/* The function of the same name behind this one. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t length) {
    enum outcome outcome = on_fd(WRITE, fd);
    if (outcome == FAIL) return -1;
    return NEXT(write)(fd, bytes, outcome == HALF ? length / 2 : length);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    enum outcome outcome = on_fd(WRITE, fd);
    if (outcome == FAIL) return -1;
    return NEXT(writev)(fd, pieces, outcome == HALF ? 1 : count);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    enum outcome outcome = on_fd(WRITE, fd);
    if (outcome == FAIL) return -1;
    return NEXT(pwrite)(fd, bytes, outcome == HALF ? length / 2 : length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    enum outcome outcome = on_fd(WRITE, fd);
    if (outcome == FAIL) return -1;
    return NEXT(pwrite64)(fd, bytes, outcome == HALF ? length / 2 : length, offset);
}

int fsync(int fd) { return on_fd(SYNC, fd) == PASS ? NEXT(fsync)(fd) : -1; }

int fdatasync(int fd) { return on_fd(SYNC, fd) == PASS ? NEXT(fdatasync)(fd) : -1; }

int ftruncate(int fd, off_t length) { return on_fd(CUT, fd) == PASS ? NEXT(ftruncate)(fd, length) : -1; }

int ftruncate64(int fd, off64_t length) {
    return on_fd(CUT, fd) == PASS ? NEXT(ftruncate64)(fd, length) : -1;
}

/* Reads the mode that follows the flags, if one does. */
#define MODE(flags)                                                                                              \
    mode_t mode = 0;                                                                                             \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                                                                       \
        va_list arguments;                                                                                       \
        va_start(arguments, flags);                                                                              \
        mode = va_arg(arguments, mode_t);                                                                        \
        va_end(arguments);                                                                                       \
    }                                                                                                            \
    if (((flags) & O_CREAT) && on_path(CREATE, path) != PASS) return -1

int open(const char *path, int flags, ...) {
    MODE(flags);
    return NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags);
    return NEXT(open64)(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE(flags);
    return NEXT(openat)(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags);
    return NEXT(openat64)(directory, path, flags, mode);
}
