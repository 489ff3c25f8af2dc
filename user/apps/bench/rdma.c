/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/rdma.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

#define PORTS 16u
#define GIDS 256u

/* A line of a file without its newline; false: there is none. */
static bool read_line(const char *path, char line[64])
{
	_file_ FILE *file = fopen(path, "re");

	if (!file || !fgets(line, 64, file))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* The IPv4 address that a GID of RoCE v2 stands for: the device is reached by it. */
static bool address_of(const char *sys, const struct shunt_bench_rdma_end *end,
		       char address[INET_ADDRSTRLEN])
{
	char path[512], line[64];
	struct in6_addr gid;

	snprintf(path, sizeof(path), "%s/%s/ports/%u/gids/%u", sys, end->device,
		 end->port, end->gid);
	if (!read_line(path, line) || inet_pton(AF_INET6, line, &gid) != 1 ||
	    !IN6_IS_ADDR_V4MAPPED(&gid))
		return false;
	snprintf(path, sizeof(path), "%s/%s/ports/%u/gid_attrs/types/%u", sys,
		 end->device, end->port, end->gid);
	return read_line(path, line) && !strcmp(line, "RoCE v2") &&
	       inet_ntop(AF_INET, &gid.s6_addr[12], address, INET_ADDRSTRLEN);
}

/* The address of a device that is wanted; NULL: its first one. */
static bool look_at(const char *sys, const char *device, const char *wanted,
		    struct shunt_bench_rdma_end *end)
{
	snprintf(end->device, sizeof(end->device), "%.63s", device);
	for (end->port = 1; end->port <= PORTS; end->port++)
		for (end->gid = 0; end->gid < GIDS; end->gid++)
			if (address_of(sys, end, end->address) &&
			    (!wanted || !strcmp(end->address, wanted)))
				return true;
	return false;
}

static int is_device(const struct dirent *entry)
{
	return *entry->d_name != '.';
}

/* The first of the devices from *at on that has it; *at is behind it then. */
static bool find_end(const char *sys, struct dirent **list, int n, int *at,
		     const char *wanted, struct shunt_bench_rdma_end *end)
{
	while (*at < n)
		if (look_at(sys, list[(*at)++]->d_name, wanted, end))
			return true;
	return false;
}

static int find_both(struct shunt_bench_rdma *rdma, const char *sys,
		     struct dirent **list, int n, const char *client,
		     const char *server, struct shunt_err *err)
{
	int at = 0;

	if (!find_end(sys, list, n, &at, client, &rdma->client))
		return shunt_fail(err, -ENODEV,
				  "no RDMA device has %s%s: `rdma link` lists the "
				  "devices that there are, RoCE v2 is asked for",
				  client ? "the address " : "an IPv4 address",
				  client ? client : "");
	if (server)
		at = 0; /* it may be on the same device */
	if (find_end(sys, list, n, &at, server, &rdma->server))
		return 0;
	if (server)
		return shunt_fail(err, -ENODEV, "no RDMA device has the address %s",
				  server);
	return shunt_fail(err, -ENODEV,
			  "%s (%s) is the only RDMA device that has an IPv4 address, "
			  "and it takes two on one wire; --rdma %s,%s measures one "
			  "device beside itself",
			  rdma->client.device, rdma->client.address,
			  rdma->client.address, rdma->client.address);
}

int shunt_bench_rdma_find(struct shunt_bench_rdma *rdma, const char *sys,
			  const char *client, const char *server, struct shunt_err *err)
{
	struct dirent **list = NULL;
	int n = scandir(sys, &list, is_device, alphasort), i, ret;

	*rdma = (struct shunt_bench_rdma){ .client = { "" } };
	ret = find_both(rdma, sys, list, n, client, server, err);
	for (i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return ret;
}
