/* QEMU 2.5 to 2.11 look for memfd_create here, and define their own where they do not
 * find it; glibc declares it in <sys/mman.h> since 2.27 (memfd_create(2)).
 */
#include <sys/mman.h>
