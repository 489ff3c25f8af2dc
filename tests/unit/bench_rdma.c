/* SPDX-License-Identifier: BSD-2-Clause */
/* RDMA devices, found in a folder that looks like the kernel's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "user/apps/bench/rdma.h"

static char folder[] = "/tmp/shunt-test-XXXXXX";

static void command(const char *format, const char *what)
{
	char line[512];

	snprintf(line, sizeof(line), format, folder, what);
	if (system(line))
		fail_msg("%s", line);
}

static void write_file(const char *path, const char *text)
{
	char full[256];
	FILE *file;

	command("cd %s && mkdir -p $(dirname %s)", path);
	snprintf(full, sizeof(full), "%s/%s", folder, path);
	file = fopen(full, "w");
	assert_non_null(file);
	fprintf(file, "%s\n", text);
	fclose(file);
}

/* The n-th GID of a device's port, and its type; "" as the kernel's of an empty place. */
static void add_gid(const char *device, unsigned int port, unsigned int n,
		    const char *gid, const char *type)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ports/%u/gids/%u", device, port, n);
	write_file(path, gid);
	snprintf(path, sizeof(path), "%s/ports/%u/gid_attrs/types/%u", device, port, n);
	if (*type)
		write_file(path, type);
}

#define LINK_LOCAL "fe80:0000:0000:0000:0000:00ff:fe00:0001"
#define ADDRESS(last) "0000:0000:0000:0000:0000:ffff:c000:" last
#define NOTHING "0000:0000:0000:0000:0000:0000:0000:0000"
#define V2 "RoCE v2"

static int set_up(void **ctx)
{
	(void)ctx;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **ctx)
{
	(void)ctx;
	command("rm -r %s%s", "");
	return 0;
}

static int find(struct shunt_bench_rdma *rdma, const char *client, const char *server,
		const char *says)
{
	struct shunt_err err = { "" };
	int ret = shunt_bench_rdma_find(rdma, folder, client, server, &err);

	if (says && !strstr(err.message, says))
		fail_msg("%s", err.message);
	return ret;
}

static void expect(const struct shunt_bench_rdma_end *end, const char *device,
		   unsigned int port, unsigned int gid, const char *address)
{
	assert_string_equal(end->device, device);
	assert_int_equal(end->port, port);
	assert_int_equal(end->gid, gid);
	assert_string_equal(end->address, address);
}

static void the_first_address_of_each_of_two_devices_is_taken(void **ctx)
{
	struct shunt_bench_rdma rdma;

	(void)ctx;
	add_gid("rxe-b", 1, 0, LINK_LOCAL, V2);
	add_gid("rxe-b", 1, 1, ADDRESS("0202"), V2);
	add_gid("rxe-b", 1, 2, ADDRESS("0203"), V2);
	/* the older type's packets are no UDP: it is passed over */
	add_gid("rxe-a", 2, 0, ADDRESS("0201"), "IB/RoCE v1");
	add_gid("rxe-a", 2, 1, NOTHING, "");
	add_gid("rxe-a", 2, 3, ADDRESS("0201"), V2);
	add_gid("rxe-0", 1, 0, LINK_LOCAL, V2);
	assert_int_equal(find(&rdma, NULL, NULL, NULL), 0);
	expect(&rdma.client, "rxe-a", 2, 3, "192.0.2.1");
	expect(&rdma.server, "rxe-b", 1, 1, "192.0.2.2");
}

static void who_names_addresses_gets_the_devices_that_have_them(void **ctx)
{
	struct shunt_bench_rdma rdma;

	(void)ctx;
	add_gid("rxe-a", 1, 1, ADDRESS("0201"), V2);
	add_gid("rxe-b", 1, 1, ADDRESS("0202"), V2);
	add_gid("rxe-b", 1, 2, ADDRESS("0203"), V2);
	assert_int_equal(find(&rdma, "192.0.2.3", "192.0.2.1", NULL), 0);
	expect(&rdma.client, "rxe-b", 1, 2, "192.0.2.3");
	expect(&rdma.server, "rxe-a", 1, 1, "192.0.2.1");
	/* on one device, and even the same address */
	assert_int_equal(find(&rdma, "192.0.2.2", "192.0.2.2", NULL), 0);
	expect(&rdma.server, "rxe-b", 1, 1, "192.0.2.2");
	assert_int_equal(find(&rdma, "192.0.2.9", "192.0.2.1", "192.0.2.9"), -ENODEV);
	assert_int_equal(find(&rdma, "192.0.2.1", "192.0.2.9", "192.0.2.9"), -ENODEV);
}

static void what_is_missing_is_said(void **ctx)
{
	struct shunt_bench_rdma rdma;

	(void)ctx;
	assert_int_equal(find(&rdma, NULL, NULL, "no RDMA device has an IPv4 address"),
			 -ENODEV);
	add_gid("rxe-a", 1, 0, LINK_LOCAL, V2);
	add_gid("rxe-a", 1, 1, "not a GID", V2);
	assert_int_equal(find(&rdma, NULL, NULL, "no RDMA device has an IPv4 address"),
			 -ENODEV);
	add_gid("rxe-a", 1, 2, ADDRESS("0201"), V2);
	assert_int_equal(find(&rdma, NULL, NULL,
			      "--rdma 192.0.2.1,192.0.2.1 measures one device"),
			 -ENODEV);
	assert_int_equal(shunt_bench_rdma_find(&rdma, "/no/such", NULL, NULL, NULL),
			 -ENODEV);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_first_address_of_each_of_two_devices_is_taken),
		TEST(who_names_addresses_gets_the_devices_that_have_them),
		TEST(what_is_missing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
