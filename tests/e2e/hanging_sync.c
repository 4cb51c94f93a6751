/* fdatasync that does not return while the file named by HANG_WHILE exists, as on a dead disk. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int descriptor) {
  const char *flag = getenv("HANG_WHILE");
  while (flag != NULL && access(flag, F_OK) == 0) usleep(5000);
  return (int)syscall(SYS_fdatasync, descriptor);
}
