/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/dpdk/eal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_version.h>

#include "user/base/cleanup.h"

#define WORDS 256
#define RUN_DIR "/run/dpdk/"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum { NOT_BEGUN, BEGUN, FAILED } state;
static struct shunt_err failure;
static struct shunt_dpdk_opts begun_with;

/* --- what DPDK says ------------------------------------------------------------- */

static char words[WORDS]; /* the first line since it was asked: the cause */
static pthread_mutex_t words_lock = PTHREAD_MUTEX_INITIALIZER;

/* The log is written here instead of on stderr; only errors come. */
static ssize_t keep_words(void *cookie, const char *text, size_t bytes)
{
	size_t n = strcspn(text, "\n");

	(void)cookie;
	n = n < bytes ? n : bytes;
	if (!n)
		return (ssize_t)bytes;
	pthread_mutex_lock(&words_lock);
	if (!*words)
		snprintf(words, sizeof(words), "%.*s", (int)n, text);
	pthread_mutex_unlock(&words_lock);
	return (ssize_t)bytes;
}

static void listen_to_log(void)
{
	FILE *log =
		fopencookie(NULL, "w", (cookie_io_functions_t){ .write = keep_words });

	if (log) {
		setvbuf(log, NULL, _IOLBF, 0);
		rte_openlog_stream(log);
	}
}

void shunt_dpdk_listen(void)
{
	pthread_mutex_lock(&words_lock);
	*words = '\0';
	pthread_mutex_unlock(&words_lock);
}

int shunt_dpdk_fail(struct shunt_err *err, int code, const char *fmt, ...)
{
	char sentence[1024], said[WORDS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	pthread_mutex_lock(&words_lock);
	strcpy(said, words);
	*words = '\0';
	pthread_mutex_unlock(&words_lock);
	if (!*said)
		return shunt_fail_errno(err, code, "%s", sentence);
	return shunt_fail(err, code, "%s: DPDK says \"%s\"", sentence, said);
}

/* --- threads ------------------------------------------------------------------------ */

_Thread_local bool shunt_dpdk_known;
static pthread_key_t leaving;
static pthread_once_t leaving_once = PTHREAD_ONCE_INIT;

static void leave(void *value)
{
	(void)value;
	rte_thread_unregister();
}

static void make_leaving(void)
{
	pthread_key_create(&leaving, leave);
}

void shunt_dpdk_enlist(void)
{
	shunt_dpdk_known = true;
	pthread_once(&leaving_once, make_leaving);
	if (rte_lcore_id() == LCORE_ID_ANY && !rte_thread_register())
		pthread_setspecific(leaving, &leaving);
}

/* --- its start ------------------------------------------------------------------ */

/* A core that the caller may use; DPDK pins the caller to it, until we undo that. */
static int first_cpu(const cpu_set_t *may)
{
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE && !CPU_ISSET(cpu, may);)
		cpu++;
	return cpu;
}

static int init(const struct shunt_dpdk_opts *opts, const char *pci, int cpu)
{
	char prefix[32], cores[32], megabytes[32], device[64] = "", folder[64];
	char *argv[16], **arg = argv;
	int ret;

	snprintf(prefix, sizeof(prefix), "--file-prefix=shunt-%d", getpid());
	snprintf(cores, sizeof(cores), "--lcores=0@%d", cpu);
	snprintf(megabytes, sizeof(megabytes), "-m%llu",
		 (unsigned long long)(opts->memory >> 20));
	*arg++ = (char *)"shunt";
	*arg++ = prefix;
	*arg++ = cores;
	*arg++ = (char *)"--no-shconf";
	*arg++ = (char *)"--no-telemetry";
	*arg++ = (char *)"--log-level=*:error";
	if (pci) {
		snprintf(device, sizeof(device), "-a%s", pci);
		*arg++ = device;
	} else {
		*arg++ = (char *)"--no-pci";
	}
	*arg++ = opts->huge ? (char *)"--in-memory" : (char *)"--no-huge";
	*arg++ = megabytes;
	*arg = NULL;
	ret = rte_eal_init((int)(arg - argv), argv);
	/* It is empty, but for files of huge pages that are unlinked already. */
	snprintf(folder, sizeof(folder), RUN_DIR "%s", strchr(prefix, '=') + 1);
	rmdir(folder);
	return ret < 0 ? -rte_errno : 0;
}

static uint64_t free_huge_bytes(void)
{
	_file_ FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long pages = 0, kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "HugePages_Free: %llu", &pages);
		sscanf(line, "Hugepagesize: %llu", &kib);
	}
	return pages * kib << 10;
}

static int begin(const struct shunt_dpdk_opts *opts, const char *pci,
		 struct shunt_err *err)
{
	cpu_set_t may;
	int ret;

	if (pthread_getaffinity_np(pthread_self(), sizeof(may), &may))
		return shunt_fail_errno(err, -errno, "ask for the CPU affinity");
	listen_to_log();
	ret = init(opts, pci, first_cpu(&may));
	pthread_setaffinity_np(pthread_self(), sizeof(may), &may);
	if (ret)
		return shunt_dpdk_fail(
			err, ret ? ret : -EIO, "begin DPDK with %llu MB of %s pages%s",
			(unsigned long long)(opts->memory >> 20),
			opts->huge ? "huge" : "ordinary",
			opts->huge ? " (huge=on needs free huge pages, "
				     "/proc/sys/vm/nr_hugepages, and a mounted "
				     "hugetlbfs)"
				   : "");
	begun_with = *opts;
	return 0;
}

/* DPDK says on stderr what is missing, and cannot be begun again after that. */
static int look_first(const struct shunt_dpdk_opts *opts, struct shunt_err *err)
{
	uint64_t bytes = opts->huge ? free_huge_bytes() : UINT64_MAX;

	if (bytes >= opts->memory)
		return 0;
	return shunt_fail(err, -ENOMEM,
			  "begin DPDK with huge=on: %llu MB are wanted (memory=…), and "
			  "%llu MB of huge pages are free: write how many there shall "
			  "be into /proc/sys/vm/nr_hugepages, or leave out huge",
			  (unsigned long long)(opts->memory >> 20),
			  (unsigned long long)(bytes >> 20));
}

int shunt_dpdk_begin(const struct shunt_dpdk_opts *opts, const char *pci,
		     struct shunt_err *err)
{
	int ret = 0;

	pthread_mutex_lock(&lock);
	if (state == NOT_BEGUN)
		ret = look_first(opts, err);
	if (state == NOT_BEGUN && !ret) {
		ret = begin(opts, pci, &failure);
		state = ret ? FAILED : BEGUN;
	}
	if (state == FAILED)
		ret = shunt_fail(err, ret ? ret : -EIO, "%s", failure.message);
	pthread_mutex_unlock(&lock);
	return ret;
}

bool shunt_dpdk_describe_eal(cJSON *json)
{
	return cJSON_AddStringToObject(json, "version", rte_version()) &&
	       cJSON_AddNumberToObject(json, "memory_bytes",
				       (double)begun_with.memory) &&
	       cJSON_AddBoolToObject(json, "huge_pages", begun_with.huge);
}
