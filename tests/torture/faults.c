/*
 * Counts the calls that change files below some folders, and lets the one of a chosen number, or all
 * from it on, fail: the process is killed (before the call, or with half of a write done), or told EIO
 * or ENOSPC. Loaded by LD_PRELOAD. What is wanted stands in a file that all processes map, named by
 * FAULTS_CONTROL; `faults.py` has the same layout.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TEAR, FAIL_EIO, FAIL_ENOSPC };

struct control {
    int32_t kind;
    int32_t sticky;
    int64_t at;
    int64_t count;
    int64_t fired;
    char below[2048]; /* folders, each ended by a colon */
};

static struct control *control;
static __thread int full = -1; /* a descriptor whose last write was cut short: the next one fails */

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("FAULTS_CONTROL");
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int descriptor = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static int is_below(const char *path)
{
    const char *folder = control->below;
    const char *end;
    for (; (end = strchr(folder, ':')) != NULL; folder = end + 1) {
        size_t length = (size_t)(end - folder);
        if (strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0'))
            return 1;
    }
    return 0;
}

static int descriptor_path(int descriptor, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
    return length > 0;
}

static int concerns_descriptor(int descriptor)
{
    char path[PATH_MAX];
    return control && descriptor_path(descriptor, path) && is_below(path);
}

static int concerns_path(int folder, const char *name)
{
    char path[2 * PATH_MAX];
    if (!control)
        return 0;
    if (name[0] == '/')
        return is_below(name);
    if (folder == AT_FDCWD ? getcwd(path, PATH_MAX) == NULL : !descriptor_path(folder, path))
        return 0;
    strncat(path, "/", 2);
    strncat(path, name, PATH_MAX - 1);
    return is_below(path);
}

/* 0 to go on; else the error; -1 to be killed after half of a write */
static int fault(void)
{
    int64_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (control->kind == COUNT || number < control->at || (number > control->at && !control->sticky))
        return 0;
    __atomic_add_fetch(&control->fired, 1, __ATOMIC_SEQ_CST);
    if (control->kind == KILL)
        kill(getpid(), SIGKILL);
    if (control->kind == TEAR)
        return -1;
    return control->kind == FAIL_EIO ? EIO : ENOSPC;
}

static int refused(int concerned)
{
    int error = concerned ? fault() : 0;
    if (error < 0)
        kill(getpid(), SIGKILL);
    errno = error ? error : errno;
    return error != 0;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static ssize_t half(int descriptor, const void *content, size_t size, int error)
{
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t written = size > 1 && error != EIO ? real(descriptor, content, size / 2) : -1;
    if (error < 0)
        kill(getpid(), SIGKILL);
    if (written < 0) {
        errno = error;
        return -1;
    }
    full = descriptor;
    return written;
}

ssize_t write(int descriptor, const void *content, size_t size)
{
    REAL(write);
    if (descriptor == full) {
        full = -1;
        errno = ENOSPC;
        return -1;
    }
    int error = concerns_descriptor(descriptor) ? fault() : 0;
    return error ? half(descriptor, content, size, error) : real(descriptor, content, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    REAL(writev);
    return refused(concerns_descriptor(descriptor)) ? -1 : real(descriptor, parts, count);
}

#define OF_DESCRIPTOR(name, parameters, arguments) \
    int name parameters \
    { \
        REAL(name); \
        return refused(concerns_descriptor(descriptor)) ? -1 : real arguments; \
    }
#define OF_PATH(name, parameters, folder, path, arguments) \
    int name parameters \
    { \
        REAL(name); \
        return refused(concerns_path(folder, path)) ? -1 : real arguments; \
    }

ssize_t pwrite(int descriptor, const void *content, size_t size, off_t place)
{
    REAL(pwrite);
    return refused(concerns_descriptor(descriptor)) ? -1 : real(descriptor, content, size, place);
}
ssize_t pwrite64(int descriptor, const void *content, size_t size, off64_t place)
{
    REAL(pwrite64);
    return refused(concerns_descriptor(descriptor)) ? -1 : real(descriptor, content, size, place);
}

OF_DESCRIPTOR(fsync, (int descriptor), (descriptor))
OF_DESCRIPTOR(fdatasync, (int descriptor), (descriptor))
OF_DESCRIPTOR(syncfs, (int descriptor), (descriptor))
OF_DESCRIPTOR(ftruncate, (int descriptor, off_t size), (descriptor, size))
OF_DESCRIPTOR(ftruncate64, (int descriptor, off64_t size), (descriptor, size))
OF_DESCRIPTOR(fchmod, (int descriptor, mode_t mode), (descriptor, mode))
OF_PATH(truncate, (const char *path, off_t size), AT_FDCWD, path, (path, size))
OF_PATH(truncate64, (const char *path, off64_t size), AT_FDCWD, path, (path, size))
OF_PATH(rename, (const char *old, const char *new), AT_FDCWD, new, (old, new))
OF_PATH(renameat, (int from, const char *old, int to, const char *new), to, new, (from, old, to, new))
OF_PATH(renameat2, (int from, const char *old, int to, const char *new, unsigned int flags), to, new,
        (from, old, to, new, flags))
OF_PATH(link, (const char *old, const char *new), AT_FDCWD, new, (old, new))
OF_PATH(linkat, (int from, const char *old, int to, const char *new, int flags), to, new,
        (from, old, to, new, flags))
OF_PATH(symlink, (const char *target, const char *path), AT_FDCWD, path, (target, path))
OF_PATH(symlinkat, (const char *target, int folder, const char *path), folder, path, (target, folder, path))
OF_PATH(unlink, (const char *path), AT_FDCWD, path, (path))
OF_PATH(unlinkat, (int folder, const char *path, int flags), folder, path, (folder, path, flags))
OF_PATH(rmdir, (const char *path), AT_FDCWD, path, (path))
OF_PATH(mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
OF_PATH(mkdirat, (int folder, const char *path, mode_t mode), folder, path, (folder, path, mode))

/* Opening counts where it may make a file. */
#define OPENING(name, parameters, folder, arguments) \
    int name parameters \
    { \
        mode_t mode = 0; \
        if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        REAL(name); \
        return refused((flags & O_CREAT) && concerns_path(folder, path)) ? -1 : real arguments; \
    }

OPENING(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPENING(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPENING(openat, (int folder, const char *path, int flags, ...), folder, (folder, path, flags, mode))
OPENING(openat64, (int folder, const char *path, int flags, ...), folder, (folder, path, flags, mode))
