// Preloaded (LD_PRELOAD) into a program, lets its N-th step towards the disk fail. A step is a call
// that writes, syncs, links, renames, removes or cuts a file, or (EMFILE) opens one, below a folder.
//
//   FAULT_FOLDER  the folder
//   FAULT_STEP    N, counted from 1
//   FAULT_KIND    kill_before, kill_after: the process dies by SIGKILL before or after the step
//                 EIO: the step fails, once.  ENOSPC: it and all writes after it fail
//                 half: half of a write is done, then the process dies
//                 EMFILE: the N-th file that is opened is not, and the nine after it
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { kOpensRefused = 10 };

static atomic_long steps;

static const char* setting(const char* name) {
  const char* value = getenv(name);
  return value == NULL ? "" : value;
}

static int is_kind(const char* kind) { return strcmp(setting("FAULT_KIND"), kind) == 0; }

static int path_is_inside(const char* path) {
  const char* folder = setting("FAULT_FOLDER");
  return folder[0] != '\0' && strncmp(path, folder, strlen(folder)) == 0;
}

static int file_is_inside(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = '\0';
  return path_is_inside(path);
}

static void die(void) { kill(getpid(), SIGKILL); }

// Counts a step; true when it is to fail, with errno set.
static int begin(int writes) {
  if (is_kind("EMFILE")) return 0;
  long step = atomic_fetch_add(&steps, 1) + 1, chosen = atol(setting("FAULT_STEP"));
  if (step == chosen && is_kind("kill_before")) die();
  if (step == chosen && is_kind("EIO")) return errno = EIO, 1;
  if (step >= chosen && writes && is_kind("ENOSPC")) return errno = ENOSPC, 1;
  return 0;
}

static void end(void) {
  if (is_kind("kill_after") && atomic_load(&steps) >= atol(setting("FAULT_STEP"))) die();
}

static size_t cut(size_t size) {
  return is_kind("half") && atomic_load(&steps) == atol(setting("FAULT_STEP")) ? size / 2 : size;
}

static void end_write(size_t asked, size_t size) {
  if (asked != size) die();
  end();
}

#define REAL(name) (__extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* bytes, size_t size) {
  if (!file_is_inside(fd)) return REAL(write)(fd, bytes, size);
  if (begin(1)) return -1;
  ssize_t done = REAL(write)(fd, bytes, cut(size));
  end_write(size, cut(size));
  return done;
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  if (!file_is_inside(fd)) return REAL(pwrite64)(fd, bytes, size, offset);
  if (begin(1)) return -1;
  ssize_t done = REAL(pwrite64)(fd, bytes, cut(size), offset);
  end_write(size, cut(size));
  return done;
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return pwrite64(fd, bytes, size, offset);
}

#define STEP(condition, call)    \
  if (!(condition)) return call; \
  if (begin(0)) return -1;       \
  int result = call;             \
  end();                         \
  return result;

int fsync(int fd) { STEP(file_is_inside(fd), REAL(fsync)(fd)) }
int fdatasync(int fd) { STEP(file_is_inside(fd), REAL(fdatasync)(fd)) }
int ftruncate64(int fd, off64_t size) { STEP(file_is_inside(fd), REAL(ftruncate64)(fd, size)) }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int unlink(const char* path) { STEP(path_is_inside(path), REAL(unlink)(path)) }
int link(const char* from, const char* to) { STEP(path_is_inside(to), REAL(link)(from, to)) }
int rename(const char* from, const char* to) { STEP(path_is_inside(to), REAL(rename)(from, to)) }

// Opened in the N-th place; errno says why not.
static int open_fails(const char* path) {
  if (!is_kind("EMFILE") || !path_is_inside(path)) return 0;
  long step = atomic_fetch_add(&steps, 1) + 1, chosen = atol(setting("FAULT_STEP"));
  if (step < chosen || step >= chosen + kOpensRefused) return 0;
  errno = EMFILE;
  return 1;
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_fails(path) ? -1 : REAL(open64)(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_fails(path) ? -1 : REAL(open)(path, flags, mode);
}
