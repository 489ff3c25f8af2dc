/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of this machine, as facts with names. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "user/apps/advise.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/transport/backend.h"

#define SPARE_CORES 2 /* one that spins, and one for all the rest */

static struct shunt_advise_fact *add(struct shunt_advise_facts *facts, const char *name,
				     enum shunt_advise_answer answer)
{
	struct shunt_advise_fact *fact = &facts->fact[facts->n];

	if (facts->n < SHUNT_ADVISE_FACTS - 1)
		facts->n++;
	*fact = (struct shunt_advise_fact){ .answer = answer };
	snprintf(fact->name, sizeof(fact->name), "%s", name);
	return fact;
}

/* A feature of probe's, the kernel's or the interface's. */
static void add_feature(struct shunt_advise_facts *facts, const char *name,
			const cJSON *object, const char *feature, const char *unasked)
{
	struct shunt_advise_fact *fact = add(facts, name, SHUNT_ADVISE_UNKNOWN);
	const cJSON *row;

	snprintf(fact->detail, sizeof(fact->detail), "%s", unasked);
	cJSON_ArrayForEach(row, shunt_json_get(object, "features"))
	{
		const char *answer = shunt_json_str(row, "answer");

		if (strcmp(shunt_json_str(row, "name"), feature) != 0)
			continue;
		fact->answer = !strcmp(answer, "yes")  ? SHUNT_ADVISE_YES
			       : !strcmp(answer, "no") ? SHUNT_ADVISE_NO
						       : SHUNT_ADVISE_UNKNOWN;
		snprintf(fact->detail, sizeof(fact->detail), "%.255s",
			 shunt_json_str(row, "detail"));
	}
}

static void add_cores(struct shunt_advise_facts *facts)
{
	struct shunt_advise_fact *fact;
	cpu_set_t set;
	int cores;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	cores = CPU_COUNT(&set);
	fact = add(facts, "spare-cores",
		   cores >= SPARE_CORES ? SHUNT_ADVISE_YES : SHUNT_ADVISE_NO);
	snprintf(fact->detail, sizeof(fact->detail), "%d core%s to run on", cores,
		 cores == 1 ? "" : "s");
}

static void add_hypervisor(struct shunt_advise_facts *facts)
{
	_file_ FILE *file = fopen("/proc/cpuinfo", "re");
	char line[4096];

	while (file && fgets(line, sizeof(line), file)) {
		bool flags = !strncmp(line, "flags", 5);

		if (!flags)
			continue;
		add(facts, "hypervisor",
		    strstr(line, " hypervisor") ? SHUNT_ADVISE_YES : SHUNT_ADVISE_NO);
		return;
	}
	add(facts, "hypervisor", SHUNT_ADVISE_UNKNOWN);
}

/* A NIC that DPDK could take from the kernel: no veth, bridge or other software. */
static void add_nic(struct shunt_advise_facts *facts, const cJSON *interface)
{
	static const char *const software[] = { "veth",	 "tun",	    "bridge", "bond",
						"team",	 "macvlan", "ipvlan", "dummy",
						"vxlan", "netkit",  "" };
	const char *driver = shunt_json_str(interface, "driver");
	struct shunt_advise_fact *fact;
	size_t i;

	if (!interface) {
		fact = add(facts, "physical-nic", SHUNT_ADVISE_UNKNOWN);
		snprintf(fact->detail, sizeof(fact->detail), "no interface was named");
		return;
	}
	fact = add(facts, "physical-nic", SHUNT_ADVISE_YES);
	snprintf(fact->detail, sizeof(fact->detail), "driver %s",
		 *driver ? driver : "unknown");
	for (i = 0; i < sizeof(software) / sizeof(*software); i++)
		if (!strcmp(driver, software[i]))
			fact->answer = *driver ? SHUNT_ADVISE_NO : SHUNT_ADVISE_UNKNOWN;
}

void shunt_advise_look(struct shunt_advise_facts *facts, const cJSON *probe)
{
	const cJSON *interface = shunt_json_get(probe, "interface");
	const char *unasked = interface ? "" : "no interface was named";
	char room[256];
	size_t i;

	*facts = (struct shunt_advise_facts){ .n = 0 };
	add_cores(facts);
	add_hypervisor(facts);
	add_nic(facts, interface);
	add_feature(facts, "af-xdp", probe, "af-xdp", "");
	add_feature(facts, "nic-xdp-native", interface, "xdp-native", unasked);
	add_feature(facts, "zero-copy", interface, "af-xdp-zerocopy", unasked);
	for (i = 0; shunt_transport_backends[i]; i++) {
		const struct shunt_transport_ops *ops = shunt_transport_backends[i];
		const char *why = ops->absent ? ops->absent(room, sizeof(room)) : NULL;
		struct shunt_advise_fact *fact =
			add(facts, ops->scheme,
			    why ? SHUNT_ADVISE_NO : SHUNT_ADVISE_YES);

		snprintf(fact->detail, sizeof(fact->detail), "%.255s",
			 why ? why : ops->help);
	}
}
