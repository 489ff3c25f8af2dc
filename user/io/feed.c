/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/policy/policy.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/io/spec.h"

#define CONSUMER "run"

/* By its beginning a policy is known as ours, also to later versions. */
#define POLICY_MARK                                                                    \
	"{ \"schema\": \"shunt.policy/1\", \"description\": \"Made by `shunt run`, "   \
	"which removes it when it ends: "
#define POLICY_MARK_MATCH                                                              \
	"{ \"schema\": \"shunt.policy/1\", \"description\": \"Made for a transport, "  \
	"which removes it when it ends: "

/* With what goes to the ports, said in words and as a match. */
#define POLICY_REST                                                                    \
	"%s.\",\n"                                                                     \
	"  \"default\": \"pass\", \"malformed\": \"pass\",\n"                          \
	"  \"consumers\": { \"" CONSUMER "\": { \"kind\": \"xsk\", "                   \
	"\"queues\": \"all\", \"if_down\": \"pass\" } },\n"                            \
	"  \"rules\": [ { \"name\": \"all\", %s%s%s\"action\": { \"redirect\": "       \
	"{ \"consumer\": \"" CONSUMER "\" } } } ] }\n"

/*
 * Runs that use the same policy share a lock, on the instance's folder in bpffs, so that it
 * goes with the instance. Who gets it alone at the end is the last one, and detaches.
 */
struct shunt_feed {
	char interface[IF_NAMESIZE];
	const char *mark; /* how the policies of its kind begin */
	char *text;	  /* of the policy */
	int lock;
};

static void hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(how, &set, NULL);
}

/* --- the policy ------------------------------------------------------------------------ */

static int write_policy(struct shunt_feed *feed, const char *match)
{
	int ret;

	feed->mark = match ? POLICY_MARK_MATCH : POLICY_MARK;
	if (match)
		ret = asprintf(&feed->text, POLICY_MARK_MATCH POLICY_REST,
			       "its datagrams go there", "\"match\": ", match, ", ");
	else
		ret = asprintf(&feed->text, POLICY_MARK POLICY_REST,
			       "all frames go to its ports", "", "", "");
	if (ret >= 0)
		return 0;
	feed->text = NULL;
	return -ENOMEM;
}

static int read_policy(const struct shunt_feed *feed, struct shunt_policy **policy,
		       struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	int ret =
		shunt_policy_read(policy, feed->text, strlen(feed->text), NULL, &diags);

	if (ret)
		shunt_fail(err, ret, "read the feed's own policy: %s",
			   diags.n ? diags.at[0].message : "out of memory");
	shunt_diags_free(&diags);
	return ret;
}

static int attach(const struct shunt_feed *feed, const struct shunt_feed_opts *opts,
		  struct shunt_err *err)
{
	const struct shunt_attach_opts how = { .sz = sizeof(how),
					       .netns = opts->netns,
					       .session = opts->session,
					       .protect = opts->protect,
					       .protects = opts->protects };
	_policy_ struct shunt_policy *policy = NULL;
	_json_ cJSON *reply = NULL;
	int ret = read_policy(feed, &policy, err);

	return ret ? ret : shunt_attach(feed->interface, policy, &how, &reply, err);
}

/* The user's policy stays: whom could the port serve? */
static int fail_foreign(const struct shunt_feed *feed, const cJSON *show,
			struct shunt_err *err)
{
	const cJSON *one;
	char names[512] = "";
	size_t n = 0;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(show, "consumers"))
	{
		if (!strcmp(shunt_json_str(one, "kind"), "xsk") && n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
					      n ? ", " : "",
					      shunt_json_str(one, "name"));
	}
	if (!n)
		return shunt_fail(err, -EBUSY,
				  "%s is under a policy, which has no consumer of kind "
				  "\"xsk\": add one to it and a rule that redirects "
				  "there, or detach it",
				  feed->interface);
	return shunt_fail(err, -EBUSY,
			  "%s is under a policy, so the port serves one of its "
			  "consumers: say af_xdp:%s,consumer=NAME; there are %s",
			  feed->interface, feed->interface, names);
}

/* Made for a port, whatever it matches. */
static bool is_made(const char *policy)
{
	return !strncmp(policy, POLICY_MARK, strlen(POLICY_MARK)) ||
	       !strncmp(policy, POLICY_MARK_MATCH, strlen(POLICY_MARK_MATCH));
}

/* What matches everything is ours in all versions of its text. */
static bool is_ours(const struct shunt_feed *feed, const char *policy)
{
	return !strcmp(policy, feed->text) ||
	       (!strcmp(feed->mark, POLICY_MARK) &&
		!strncmp(policy, POLICY_MARK, strlen(POLICY_MARK)));
}

/*
 * Of another feed: where nobody holds it any more, who made it was killed, and it goes.
 * 1: look again.
 */
static int replace_other(const struct shunt_feed *feed, struct shunt_err *err)
{
	char instance[SHUNT_INSTANCE_MAX], path[SHUNT_PIN_MAX];
	_json_ cJSON *reply = NULL;
	int ret = shunt_instance_name(instance, feed->interface, err);

	if (ret)
		return ret;
	shunt_pin_path(path, instance, NULL, NULL);
	_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 1
				       : shunt_fail_errno(err, -errno, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return shunt_fail(
			err, -EBUSY,
			"another port or transport of Shunt's receives from %s "
			"by a policy of its own: end it first, or write a "
			"policy with a consumer for each of them",
			feed->interface);
	ret = shunt_detach(feed->interface, NULL, &reply, err);
	return ret && ret != -ENOENT ? ret : 1;
}

/* Attaches, or finds what is ours. */
static int make_policy(const struct shunt_feed *feed,
		       const struct shunt_feed_opts *opts, struct shunt_err *err)
{
	for (;;) {
		_json_ cJSON *show = NULL;
		int ret = shunt_show(feed->interface, &show, err);

		if (!ret && is_ours(feed, shunt_json_str(show, "policy")))
			return 0;
		if (!ret && !is_made(shunt_json_str(show, "policy")))
			return fail_foreign(feed, show, err);
		if (!ret) {
			ret = replace_other(feed, err);
			if (ret < 0)
				return ret;
			continue;
		}
		if (ret != -ENOENT)
			return ret;
		ret = attach(feed, opts, err);
		if (ret != -EEXIST) /* somebody was faster: look again */
			return ret;
	}
}

/* 1: it is held, and still the instance's folder; 0: that is gone, or another one. */
static int take_lock(struct shunt_feed *feed, struct shunt_err *err)
{
	char instance[SHUNT_INSTANCE_MAX], path[SHUNT_PIN_MAX];
	int ret = shunt_instance_name(instance, feed->interface, err);
	struct stat held, named;

	if (ret)
		return ret;
	shunt_pin_path(path, instance, NULL, NULL);
	_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0;
	/* nobody keeps it alone for longer than a detach takes */
	if (fd < 0 || flock(fd, LOCK_SH) || fstat(fd, &held))
		return shunt_fail_errno(err, -errno, "lock %s", path);
	if (stat(path, &named) || held.st_ino != named.st_ino)
		return 0;
	feed->lock = shunt_steal_fd(&fd);
	return 1;
}

static int feed_interface(struct shunt_feed *feed, const struct shunt_feed_opts *opts,
			  struct shunt_err *err)
{
	int ret;

	do {
		ret = make_policy(feed, opts, err);
		if (!ret)
			ret = take_lock(feed, err);
	} while (!ret);
	return ret < 0 ? ret : 0;
}

/* --- opening and closing ------------------------------------------------------------- */

/* Does one of the options begin like that? */
static bool has_option(const char *options, const char *key)
{
	const char *at = options;

	while (*at) {
		if (!strncmp(at, key, strlen(key)))
			return true;
		at += strcspn(at, ",");
		at += *at == ',';
	}
	return false;
}

/* Do they say whose packets it receives, or that it receives none? */
static bool knows_source(const char *options)
{
	return has_option(options, "consumer=") || has_option(options, "xskmap=") ||
	       has_option(options, "serve=") || has_option(options, "rx=");
}

static int open_feed(struct shunt_feed **out, const char *interface,
		     const struct shunt_feed_opts *opts, struct shunt_err *err)
{
	struct shunt_feed *feed = calloc(1, sizeof(*feed));
	int ret;

	if (!feed)
		return shunt_fail_errno(err, -ENOMEM, "feed %s", interface);
	feed->lock = -1;
	snprintf(feed->interface, sizeof(feed->interface), "%s", interface);
	ret = write_policy(feed, opts->match);
	hold_signals(SIG_BLOCK);
	ret = ret ? shunt_fail_errno(err, ret, "feed %s", interface)
		  : feed_interface(feed, opts, err);
	hold_signals(SIG_UNBLOCK);
	if (ret) {
		free(feed->text);
		free(feed);
		return ret;
	}
	*out = feed;
	return 0;
}

int shunt_feed_open(struct shunt_feed **feed, char **text_out, const char *text,
		    bool receives, const struct shunt_feed_opts *opts,
		    struct shunt_err *err)
{
	struct shunt_spec spec;
	const char *source = "", *ring = "";
	int ret = shunt_spec_split(&spec, text, err);

	*feed = NULL;
	*text_out = NULL;
	if (ret)
		return ret;
	if (!strcmp(spec.scheme, "af_xdp")) {
		if (!knows_source(spec.rest))
			source = receives ? ",consumer=" CONSUMER : ",rx=off";
		if (receives && !has_option(spec.rest, "ring="))
			ring = ",ring=" SHUNT_FEED_RING_TEXT;
	}
	if (asprintf(text_out, "%s%s%s", text, source, ring) < 0) {
		*text_out = NULL;
		return shunt_fail_errno(err, -ENOMEM, "open port %s", text);
	}
	if (!*source || !receives)
		return 0;
	if (strlen(spec.device) >= IF_NAMESIZE)
		return shunt_fail(err, -ENODEV, "port %s: there is no interface \"%s\"",
				  text, spec.device);
	ret = open_feed(feed, spec.device, opts, err);
	return ret ? shunt_fail_in(err, ret, "port %s: ", text) : 0;
}

/* Takes off what is ours yet. */
static int detach(const struct shunt_feed *feed, struct shunt_err *err)
{
	_json_ cJSON *show = NULL, *reply = NULL;
	int ret = shunt_show(feed->interface, &show, err);

	if (ret == -ENOENT || ret == -ENODEV)
		return 0; /* the interface is gone, or it was taken off by hand */
	if (ret || !is_ours(feed, shunt_json_str(show, "policy")))
		return ret;
	return shunt_detach(feed->interface, NULL, &reply, err);
}

int shunt_feed_close(struct shunt_feed *feed, struct shunt_err *err)
{
	int ret = 0;

	if (!feed)
		return 0;
	hold_signals(SIG_BLOCK);
	if (!flock(feed->lock, LOCK_EX | LOCK_NB))
		ret = detach(feed, err);
	hold_signals(SIG_UNBLOCK);
	close(feed->lock);
	free(feed->text);
	free(feed);
	return ret;
}
