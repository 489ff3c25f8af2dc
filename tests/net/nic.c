/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes one interface a NIC with ntuple filters, for the program it is loaded before. */

/*
 * SHUNT_NIC names a file that holds a struct nic_model, shared by all processes that
 * are to see that NIC; SHUNT_NIC_NAME is the interface. Everything that the model does
 * not answer goes to the kernel.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "tests/model/nic.h"

static struct nic_model *model(void)
{
	static struct nic_model *nic;
	int fd;

	if (nic || !getenv("SHUNT_NIC"))
		return nic;
	fd = open(getenv("SHUNT_NIC"), O_RDWR | O_CLOEXEC);
	nic = mmap(NULL, sizeof(*nic), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (nic == MAP_FAILED)
		abort();
	return nic;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*kernel)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	const char *name = getenv("SHUNT_NIC_NAME");
	struct ifreq *ifr;
	va_list args;
	int ret;

	va_start(args, request);
	ifr = va_arg(args, void *);
	va_end(args);
	if (request != SIOCETHTOOL || !name || strcmp(ifr->ifr_name, name) != 0 ||
	    !nic_model_knows(*(uint32_t *)ifr->ifr_data))
		return kernel(fd, request, ifr);
	ret = nic_model_answer(model(), ifr->ifr_data);
	errno = ret ? -ret : 0;
	return ret ? -1 : 0;
}
