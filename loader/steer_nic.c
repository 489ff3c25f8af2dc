/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/steer_nic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/ethtool.h"
#include "loader/reply.h"
#include "user/base/cleanup.h"

int shunt_steer_nic_open(struct shunt_steer_nic *nic, unsigned int ifindex,
			 cJSON *notes)
{
	*nic = (struct shunt_steer_nic){ .sysfs = -1, .notes = notes };
	return if_indextoname(ifindex, nic->interface) ? 0 : -ENODEV;
}

static void forget_table(struct shunt_steer_nic *nic)
{
	shunt_ntuple_table_free(&nic->table);
	free(nic->rule);
	nic->rule = NULL;
	nic->has_table = false;
}

void shunt_steer_nic_close(struct shunt_steer_nic *nic)
{
	forget_table(nic);
	if (nic->sysfs >= 0)
		close(nic->sysfs);
	nic->sysfs = -1;
}

static void note(struct shunt_steer_nic *nic, const char *fmt, ...) SHUNT_PRINTF(2, 3);

static void note(struct shunt_steer_nic *nic, const char *fmt, ...)
{
	char text[sizeof(struct shunt_err)];
	va_list args;

	if (!nic->notes)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	shunt_reply_warn(nic->notes, "%s", text);
}

/* --- filters ----------------------------------------------------------------- */

int shunt_steer_nic_look(struct shunt_steer_nic *nic)
{
	uint32_t i;
	int ret;

	forget_table(nic);
	ret = shunt_ntuple_list(nic->interface, &nic->table);
	if (ret)
		return ret;
	nic->rule = calloc(nic->table.rules + 1, sizeof(*nic->rule));
	if (!nic->rule)
		return -ENOMEM;
	for (i = 0; i < nic->table.rules; i++) {
		/* what goes meanwhile is nobody's, as what is not understood */
		if (shunt_ntuple_read(nic->interface, nic->table.location[i],
				      &nic->rule[i]))
			nic->rule[i].family = 0;
		nic->rule[i].location = nic->table.location[i];
	}
	nic->has_table = true;
	return 0;
}

uint32_t shunt_steer_nic_find(const struct shunt_steer_nic *nic,
			      const struct shunt_ntuple *is)
{
	uint32_t i;

	for (i = 0; nic->has_table && i < nic->table.rules; i++)
		if ((is->location == SHUNT_NTUPLE_ANYWHERE ||
		     is->location == nic->rule[i].location) &&
		    shunt_ntuple_same(is, &nic->rule[i]))
			return nic->rule[i].location;
	return SHUNT_NTUPLE_ANYWHERE;
}

static void leave_filter(struct shunt_steer *steer, size_t at)
{
	steer->filters--;
	memmove(&steer->filter[at], &steer->filter[at + 1],
		(steer->filters - at) * sizeof(*steer->filter));
}

static bool holds(const struct shunt_steer *steer, uint32_t location)
{
	size_t f;

	for (f = 0; f < steer->filters; f++)
		if (steer->filter[f].is.location == location)
			return true;
	return false;
}

/* Somebody else's filter of the same flow; NULL: there is none. */
static const struct shunt_ntuple *rival(const struct shunt_steer_nic *nic,
					const struct shunt_ntuple *is,
					const struct shunt_steer *old)
{
	uint32_t i;

	for (i = 0; i < nic->table.rules; i++)
		if (shunt_ntuple_same_flow(is, &nic->rule[i]) &&
		    !holds(old, nic->rule[i].location))
			return &nic->rule[i];
	return NULL;
}

/* From the last place down, as ethtool does: what comes first has precedence. */
static uint32_t free_place(const struct shunt_steer_nic *nic,
			   const struct shunt_steer *wanted,
			   const struct shunt_steer *old)
{
	uint32_t place = nic->table.anywhere ? 0 : nic->table.size;

	while (place-- > 0)
		if (!shunt_ntuple_taken(&nic->table, place) && !holds(wanted, place) &&
		    !holds(old, place))
			return place;
	return SHUNT_NTUPLE_ANYWHERE;
}

static const char *why_none(int error)
{
	return error == -EOPNOTSUPP ? "its driver has no table of filters"
				    : strerror(-error);
}

/* One sentence a consumer, of the first of its filters. */
static void note_unsteered(struct shunt_steer_nic *nic,
			   const struct shunt_steer *wanted, int error)
{
	size_t f, g;

	for (f = 0; f < wanted->filters; f++) {
		const char *consumer = wanted->filter[f].consumer;

		for (g = 0; strcmp(wanted->filter[g].consumer, consumer) != 0;)
			g++;
		if (g == f)
			note(nic,
			     "consumer %s: %s cannot be told to send its flows to "
			     "its queues (%s): those that arrive at other queues go "
			     "the if_down way. On a veth the sender's queue decides: "
			     "see \"queues\" in the documentation of policies",
			     consumer, nic->interface, why_none(error));
	}
}

/* Where there is no table, nothing is wanted of it. */
static int look_for(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
		    struct shunt_err *err)
{
	int ret = wanted->filters ? shunt_steer_nic_look(nic) : 0;

	if (ret && ret != -EOPNOTSUPP && nic->settles)
		return shunt_fail_errno(err, ret, "list the filters of %s",
					nic->interface);
	if (ret) {
		note_unsteered(nic, wanted, ret);
		wanted->filters = 0;
	}
	return 0;
}

int shunt_steer_nic_place(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
			  const struct shunt_steer *old, struct shunt_err *err)
{
	char text[SHUNT_NTUPLE_TEXT];
	size_t f;
	int ret = look_for(nic, wanted, err);

	if (ret)
		return ret;
	for (f = 0; f < wanted->filters;) {
		struct shunt_steer_filter *filter = &wanted->filter[f];
		const struct shunt_ntuple *theirs = rival(nic, &filter->is, old);

		if (theirs) {
			note(nic,
			     "rule %s: a filter of %s that is not Shunt's, at place "
			     "%u, sends %s to queue %u already: it stays as it is; "
			     "`ethtool -N %s delete %u` makes room",
			     filter->rule, nic->interface, theirs->location,
			     shunt_ntuple_format(&filter->is, text), theirs->queue,
			     nic->interface, theirs->location);
			leave_filter(wanted, f);
			continue;
		}
		if (shunt_ntuple_taken(&nic->table, filter->is.location) &&
		    shunt_steer_nic_find(nic, &filter->is) == SHUNT_NTUPLE_ANYWHERE)
			filter->is.location = SHUNT_NTUPLE_ANYWHERE;
		if (filter->is.location == SHUNT_NTUPLE_ANYWHERE)
			filter->is.location = free_place(nic, wanted, old);
		if (filter->is.location == SHUNT_NTUPLE_ANYWHERE &&
		    !nic->table.anywhere && nic->table.size) {
			note(nic,
			     "rule %s: the table of filters of %s is full, all %u "
			     "places: %s is not steered",
			     filter->rule, nic->interface, nic->table.size,
			     shunt_ntuple_format(&filter->is, text));
			leave_filter(wanted, f);
			continue;
		}
		f++;
	}
	return 0;
}

static void note_refused(struct shunt_steer_nic *nic,
			 const struct shunt_steer_filter *filter, int error)
{
	struct shunt_ethtool_feature ntuple = { .on = true };
	char text[SHUNT_NTUPLE_TEXT], hint[96] = "";

	if (!shunt_ethtool_feature(nic->interface, "rx-ntuple-filter", &ntuple) &&
	    !ntuple.on && !ntuple.fixed)
		snprintf(hint, sizeof(hint),
			 "; they are off: `ethtool -K %s ntuple on`, and apply again",
			 nic->interface);
	note(nic, "rule %s: %s takes no filter for %s to queue %u: %s%s", filter->rule,
	     nic->interface, shunt_ntuple_format(&filter->is, text), filter->is.queue,
	     error == -EPROTO	? "it can only tell more than these packets apart"
	     : error == -ENOSPC ? "the table is full"
				: strerror(-error),
	     hint);
}

int shunt_steer_nic_insert(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
			   const struct shunt_steer *old, struct shunt_err *err)
{
	size_t f;
	int ret = look_for(nic, wanted, err);

	if (ret)
		return ret;
	for (f = 0; f < wanted->filters;) {
		struct shunt_ntuple *is = &wanted->filter[f].is;
		uint32_t place = shunt_steer_nic_find(nic, is);

		if (place != SHUNT_NTUPLE_ANYWHERE) {
			is->location = place;
			f++;
			continue;
		}
		/* somebody has been faster: a place is never taken from anybody */
		ret = shunt_ntuple_taken(&nic->table, is->location)
			      ? -EEXIST
			      : shunt_ntuple_insert(nic->interface, is);
		if (!ret || (old && shunt_steer_has_flow(old, is))) {
			f++;
			continue;
		}
		note_refused(nic, &wanted->filter[f], ret);
		leave_filter(wanted, f);
	}
	return 0;
}

static bool wants(const struct shunt_steer *wanted, const struct shunt_ntuple *is)
{
	size_t f;

	for (f = 0; f < wanted->filters; f++)
		if (wanted->filter[f].is.location == is->location &&
		    shunt_ntuple_same(&wanted->filter[f].is, is))
			return true;
	return false;
}

int shunt_steer_nic_delete(struct shunt_steer_nic *nic, const struct shunt_steer *gone,
			   const struct shunt_steer *wanted, struct shunt_err *err)
{
	char text[SHUNT_NTUPLE_TEXT];
	size_t f;
	int ret = gone->filters ? shunt_steer_nic_look(nic) : 0;

	if (ret == -EOPNOTSUPP)
		return 0; /* another driver by now */
	if (ret)
		return shunt_fail_errno(err, ret, "list the filters of %s",
					nic->interface);
	for (f = 0; f < gone->filters; f++) {
		const struct shunt_ntuple *is = &gone->filter[f].is;
		uint32_t place = wants(wanted, is) ? SHUNT_NTUPLE_ANYWHERE
						   : shunt_steer_nic_find(nic, is);

		if (place == SHUNT_NTUPLE_ANYWHERE)
			continue;
		ret = shunt_ntuple_delete(nic->interface, place);
		if (ret && ret != -ENOENT)
			return shunt_fail_errno(
				err, ret, "take the filter at place %u of %s out (%s)",
				place, nic->interface, shunt_ntuple_format(is, text));
	}
	return 0;
}

/* --- settings ---------------------------------------------------------------- */

static enum shunt_queue_kind kind_of(const struct shunt_steer_setting *setting)
{
	return setting->what == SHUNT_STEER_RPS ? SHUNT_QUEUE_RPS : SHUNT_QUEUE_XPS;
}

static int sysfs(struct shunt_steer_nic *nic)
{
	if (nic->sysfs < 0)
		nic->sysfs = shunt_sysfs_open();
	return nic->sysfs;
}

int shunt_steer_nic_get(struct shunt_steer_nic *nic,
			const struct shunt_steer_setting *setting,
			char text[SHUNT_CPUS_TEXT])
{
	struct shunt_ethtool_queues queues;
	int ret;

	if (setting->what != SHUNT_STEER_COUNT) {
		ret = sysfs(nic);
		return ret < 0 ? ret
			       : shunt_queue_cpus_read(nic->sysfs, nic->interface,
						       kind_of(setting), setting->queue,
						       text);
	}
	ret = shunt_ethtool_queues(nic->interface, &queues);
	if (!ret)
		snprintf(text, SHUNT_CPUS_TEXT, "%u", queues.now);
	return ret;
}

static int set(struct shunt_steer_nic *nic, const struct shunt_steer_setting *setting,
	       const char *text)
{
	int ret;

	if (setting->what == SHUNT_STEER_COUNT)
		return shunt_ethtool_set_queues(nic->interface,
						strtoul(text, NULL, 10));
	ret = sysfs(nic);
	return ret < 0 ? ret
		       : shunt_queue_cpus_write(nic->sysfs, nic->interface,
						kind_of(setting), setting->queue, text);
}

static bool same(const struct shunt_steer_setting *setting, const char *a,
		 const char *b)
{
	return setting->what == SHUNT_STEER_COUNT ? !strcmp(a, b)
						  : shunt_cpus_same(a, b);
}

bool shunt_steer_nic_is(const struct shunt_steer_setting *setting, const char *text)
{
	return same(setting, setting->is, text);
}

static struct shunt_steer_setting *find(const struct shunt_steer *steer,
					const struct shunt_steer_setting *like)
{
	size_t s;

	for (s = 0; s < steer->settings; s++)
		if (steer->setting[s].what == like->what &&
		    steer->setting[s].queue == like->queue)
			return &steer->setting[s];
	return NULL;
}

static void leave_setting(struct shunt_steer *steer, size_t at)
{
	steer->settings--;
	memmove(&steer->setting[at], &steer->setting[at + 1],
		(steer->settings - at) * sizeof(*steer->setting));
}

static void note_setting(struct shunt_steer_nic *nic,
			 const struct shunt_steer_setting *setting, int error)
{
	struct shunt_ethtool_queues queues = { 0 };
	char most[48] = "";

	if (setting->what == SHUNT_STEER_COUNT) {
		if (!shunt_ethtool_queues(nic->interface, &queues) && queues.max)
			snprintf(most, sizeof(most), " (it has %u, and at most %u)",
				 queues.now, queues.max);
		note(nic, "queues: %s cannot have %s receive queues%s: %s",
		     nic->interface, setting->is, most, strerror(-error));
	} else {
		note(nic, "queues: %s of queue %u of %s cannot be %s: %s",
		     shunt_steer_what_name(setting->what), setting->queue,
		     nic->interface, setting->is,
		     error == -ENOENT ? "there is no such queue" : strerror(-error));
	}
}

/* A queue that is there only once there are as many as the policy wants. */
static bool is_to_come(const struct shunt_steer *wanted,
		       const struct shunt_steer_setting *setting)
{
	static const struct shunt_steer_setting count = { .what = SHUNT_STEER_COUNT };
	const struct shunt_steer_setting *wants_count = find(wanted, &count);

	return setting->what != SHUNT_STEER_COUNT && wants_count &&
	       setting->queue < strtoul(wants_count->is, NULL, 10);
}

void shunt_steer_nic_remember(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
			      const struct shunt_steer *old)
{
	size_t s;

	for (s = 0; s < wanted->settings;) {
		struct shunt_steer_setting *setting = &wanted->setting[s];
		const struct shunt_steer_setting *had = find(old, setting);
		int ret = 0;

		if (had)
			memcpy(setting->was, had->was, sizeof(setting->was));
		else
			ret = shunt_steer_nic_get(nic, setting, setting->was);
		if (ret == -ENOENT && is_to_come(wanted, setting)) {
			snprintf(setting->was, sizeof(setting->was), "0");
			ret = 0;
		}
		if (ret) {
			note_setting(nic, setting, ret);
			leave_setting(wanted, s);
		} else {
			s++;
		}
	}
}

/* Is it the NIC's last word, that no other try would change? */
static bool is_final(int error)
{
	return error == -ENOENT || error == -EINVAL || error == -EOPNOTSUPP ||
	       error == -ENODEV;
}

void shunt_steer_nic_put(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
			 bool last)
{
	char now[SHUNT_CPUS_TEXT];
	size_t s;

	for (s = 0; s < wanted->settings;) {
		struct shunt_steer_setting *setting = &wanted->setting[s];
		int ret = shunt_steer_nic_get(nic, setting, now);
		/* it may be what it is to be: then somebody has to give it back */
		bool unknown = ret && !is_final(ret);

		if (!ret && !shunt_steer_nic_is(setting, now))
			ret = set(nic, setting, setting->is);
		if (ret && last)
			note_setting(nic, setting, ret);
		if (ret && last && !unknown)
			leave_setting(wanted, s);
		else
			s++;
	}
}

static int give_back(struct shunt_steer_nic *nic,
		     const struct shunt_steer_setting *setting, struct shunt_err *err)
{
	char now[SHUNT_CPUS_TEXT];
	int ret = shunt_steer_nic_get(nic, setting, now);

	if (!ret && !shunt_steer_nic_is(setting, now))
		return 0;
	if (!ret)
		ret = set(nic, setting, setting->was);
	if (ret && !is_final(ret))
		return shunt_fail_errno(
			err, ret, "give %s of queue %u of %s back what it was (%s)",
			shunt_steer_what_name(setting->what), setting->queue,
			nic->interface, setting->was);
	if (ret)
		note(nic, "queues: %s of queue %u of %s stays %s, and was %s: %s",
		     shunt_steer_what_name(setting->what), setting->queue,
		     nic->interface, setting->is, setting->was, strerror(-ret));
	return 0;
}

int shunt_steer_nic_give_back(struct shunt_steer_nic *nic,
			      const struct shunt_steer *gone,
			      const struct shunt_steer *wanted, struct shunt_err *err)
{
	size_t s = gone->settings;
	int ret = 0;

	/* the number of queues, which comes first, last */
	while (!ret && s-- > 0)
		if (!find(wanted, &gone->setting[s]))
			ret = give_back(nic, &gone->setting[s], err);
	return ret;
}
