/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/advise_judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "user/base/json.h"

#define WORDS 640

static const char *const answers[] = {
	[SHUNT_ADVISE_NO] = "no",
	[SHUNT_ADVISE_YES] = "yes",
	[SHUNT_ADVISE_UNKNOWN] = "unknown",
};

/* --- saying it -------------------------------------------------------------------------------- */

static void because(cJSON *list, const char *key, const char *value, const char *fmt,
		    ...) SHUNT_PRINTF(4, 5);

static void because(cJSON *list, const char *key, const char *value, const char *fmt,
		    ...)
{
	cJSON *item = cJSON_CreateObject();
	char words[WORDS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	cJSON_AddStringToObject(item, "because", words);
	if (value)
		cJSON_AddStringToObject(item, key, value);
	cJSON_AddItemToArray(list, item);
}

/* "afxdp, spin: p50 3.2 us" */
static const char *number_text(const struct shunt_advise_judging *judging,
			       const struct shunt_advise_judged *judged, char text[128])
{
	const char *proto = shunt_json_str(judged->row, "proto");

	snprintf(text, 128, "%s%s%s, %s: %s %.2f %s", judged->candidate->backend,
		 *proto ? "/" : "", proto, shunt_json_str(judged->row, "wait"),
		 judging->goal->says, judged->value * judging->goal->scale,
		 judging->goal->unit);
	return text;
}

static const char *fact_text(const struct shunt_advise_fact *fact, char text[320])
{
	snprintf(text, 320, "%s: %s%s%s", fact->name, answers[fact->answer],
		 *fact->detail ? ", " : "", fact->detail);
	return text;
}

/* The next best of those that were measured; NULL: there is none. */
static const struct shunt_advise_judged *runner_up(
	const struct shunt_advise_judging *judging)
{
	const struct shunt_advise_judged *best = NULL;
	size_t i;

	for (i = 0; i < judging->n; i++) {
		const struct shunt_advise_judged *judged = &judging->judged[i];

		if (!shunt_advise_serves(judged) || !judged->row ||
		    !strcmp(judged->candidate->backend,
			    judging->chosen->candidate->backend))
			continue;
		if (!best ||
		    shunt_advise_is_better(judging->goal, judged->value, best->value))
			best = judged;
	}
	return best;
}

static void put_number(const struct shunt_advise_judging *judging, cJSON *reasons)
{
	const struct shunt_advise_judged *chosen = judging->chosen,
					 *next = runner_up(judging);
	char own[128], other[128];

	number_text(judging, chosen, own);
	if (!next)
		because(reasons, "measured", own,
			"it was measured, and no other that "
			"serves was");
	else if (judging->goal->in_order)
		because(reasons, "measured", own, "beside it %s",
			number_text(judging, next, other));
	else if (shunt_advise_is_better(judging->goal, next->value, chosen->value))
		because(reasons, "measured", own,
			"%s is not better by a tenth (%s), and this one comes first",
			next->candidate->backend, number_text(judging, next, other));
	else
		because(reasons, "measured", own,
			"the best that was measured; next is %s",
			number_text(judging, next, other));
}

static void put_reasons(const struct shunt_advise_judging *judging, cJSON *item)
{
	cJSON *reasons = cJSON_AddArrayToObject(item, "reasons");
	const struct shunt_advise_judged *chosen = judging->chosen;
	char text[320];
	size_t i;

	because(reasons, "fact", chosen->candidate->backend, "%s",
		chosen->candidate->because);
	for (i = 0; i < SHUNT_ADVISE_NEEDS && chosen->candidate->needs[i]; i++)
		because(reasons, "fact", chosen->candidate->needs[i], "%s",
			fact_text(shunt_advise_fact(judging->facts,
						    chosen->candidate->needs[i]),
				  text));
	if (chosen->row)
		put_number(judging, reasons);
}

/* One row of a backend is enough: its first, or the one that serves. */
static bool is_told(const struct shunt_advise_judging *judging, size_t at)
{
	const char *backend = judging->judged[at].candidate->backend;
	size_t i;

	if (judging->chosen && !strcmp(judging->chosen->candidate->backend, backend))
		return true;
	for (i = 0; i < judging->n; i++) {
		bool same = !strcmp(judging->judged[i].candidate->backend, backend);

		if (same && i < at && !shunt_advise_serves(&judging->judged[at]))
			return true;
		if (same && i > at && shunt_advise_serves(&judging->judged[i]) &&
		    !shunt_advise_serves(&judging->judged[at]))
			return true;
	}
	return false;
}

static void put_alternatives(const struct shunt_advise_judging *judging, cJSON *item)
{
	cJSON *list = cJSON_AddArrayToObject(item, "alternatives");
	char text[320];
	size_t i;

	for (i = 0; i < judging->n; i++) {
		const struct shunt_advise_judged *judged = &judging->judged[i];
		cJSON *other;

		if (is_told(judging, i))
			continue;
		other = cJSON_CreateObject();
		cJSON_AddStringToObject(other, "backend", judged->candidate->backend);
		cJSON_AddBoolToObject(other, "serves", shunt_advise_serves(judged));
		if (judged->unheard)
			cJSON_AddStringToObject(other, "because",
						"this build has no such backend");
		else if (judged->lacks)
			cJSON_AddStringToObject(other, "because",
						fact_text(judged->lacks, text));
		else if (judged->row)
			cJSON_AddStringToObject(other, "because",
						number_text(judging, judged, text));
		else
			cJSON_AddStringToObject(other, "because",
						judged->candidate->because);
		cJSON_AddItemToArray(list, other);
	}
}

static void put_changes(const struct shunt_advise_judging *judging, cJSON *item)
{
	cJSON *list = cJSON_AddArrayToObject(item, "changes");
	size_t i;

	for (i = 0; i < SHUNT_ADVISE_CHANGES && judging->goal->changes[i].fact; i++) {
		const char *name = judging->goal->changes[i].fact;
		const struct shunt_advise_fact *fact =
			shunt_advise_fact(judging->facts, name);

		if (fact && fact->answer == SHUNT_ADVISE_YES)
			continue;
		because(list, "fact", fact ? name : NULL, "%s%s",
			judging->goal->changes[i].sentence,
			fact && fact->answer == SHUNT_ADVISE_UNKNOWN
				? " (name it: `shunt probe INTERFACE --advise`)"
				: "");
	}
	if (!judging->measured)
		because(list, NULL, NULL,
			"numbers: `shunt bench transports --json >FILE`, then "
			"--measured "
			"FILE");
}

static void put_choice(const struct shunt_advise_judging *judging, cJSON *item)
{
	const struct shunt_advise_judged *chosen = judging->chosen;
	const char *wait = judging->goal->spins ? "spin" : "adaptive",
		   *proto = chosen ? shunt_json_str(chosen->row, "proto") : "";
	const struct shunt_advise_fact *cores =
		shunt_advise_fact(judging->facts, "spare-cores");
	char uri[128];
	cJSON *choice;

	if (!chosen) {
		cJSON_AddNullToObject(item, "choose");
		return;
	}
	if (chosen->row)
		wait = shunt_json_str(chosen->row, "wait");
	/* who spins on the only core waits for himself; some goals want the core back */
	if (!strcmp(wait, "spin") &&
	    (!judging->goal->spins || !cores || cores->answer != SHUNT_ADVISE_YES))
		wait = "adaptive";
	choice = cJSON_AddObjectToObject(item, "choose");
	cJSON_AddStringToObject(choice, "backend", chosen->candidate->backend);
	if (*proto)
		cJSON_AddStringToObject(choice, "proto", proto);
	cJSON_AddStringToObject(choice, "wait", wait);
	snprintf(uri, sizeof(uri), "%s://ADDRESS:PORT?wait=%s%s%s",
		 chosen->candidate->backend, wait, *proto ? "&proto=" : "", proto);
	cJSON_AddStringToObject(choice, "uri", uri);
}

static void put_goal(const struct shunt_advise_goal *goal,
		     const struct shunt_advise_facts *facts, const cJSON *measured,
		     cJSON *goals)
{
	struct shunt_advise_judging judging = { .goal = goal,
						.facts = facts,
						.measured = measured };
	cJSON *item = cJSON_CreateObject();

	shunt_advise_judge(&judging);
	cJSON_AddStringToObject(item, "goal", goal->name);
	cJSON_AddStringToObject(item, "help", goal->help);
	put_choice(&judging, item);
	if (judging.chosen)
		put_reasons(&judging, item);
	else
		cJSON_AddArrayToObject(item, "reasons");
	put_alternatives(&judging, item);
	put_changes(&judging, item);
	cJSON_AddItemToArray(goals, item);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void put_facts(const struct shunt_advise_facts *facts, cJSON *reply)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "facts");
	size_t i;

	for (i = 0; i < facts->n; i++) {
		const struct shunt_advise_fact *fact = &facts->fact[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", fact->name);
		cJSON_AddStringToObject(item, "answer", answers[fact->answer]);
		if (*fact->detail)
			cJSON_AddStringToObject(item, "detail", fact->detail);
		cJSON_AddItemToArray(list, item);
	}
}

static void put_measured(const cJSON *measured, const char *file, cJSON *reply)
{
	static const char *const keys[] = { "began", "kernel", "cpu" };
	cJSON *item, *warnings = cJSON_AddArrayToObject(reply, "warnings");
	const char *kernel = shunt_json_str(measured, "kernel"),
		   *own = shunt_json_str(reply, "kernel");
	char words[WORDS];
	size_t i;

	if (!measured)
		return;
	item = cJSON_AddObjectToObject(reply, "measured");
	cJSON_AddStringToObject(item, "file", file);
	for (i = 0; i < 3; i++)
		cJSON_AddStringToObject(item, keys[i],
					shunt_json_str(measured, keys[i]));
	if (strcmp(kernel, own) != 0) {
		snprintf(words, sizeof(words),
			 "%.100s was measured under Linux %.100s, and this is %.100s: "
			 "measure again",
			 file, kernel, own);
		cJSON_AddItemToArray(warnings, cJSON_CreateString(words));
	}
	if (!strcmp(shunt_json_str(measured, "place"), "veth"))
		cJSON_AddItemToArray(warnings,
				     cJSON_CreateString(
					     "the measurement is of a veth: a NIC has "
					     "its own driver, and zero copy perhaps; "
					     "`bench transports --peer` measures "
					     "through it"));
}

int shunt_advise_check(const cJSON *measured, const char *file, const char *goal,
		       struct shunt_err *err)
{
	const struct shunt_advise_goal *known = shunt_advise_goals;
	char names[128] = "";
	size_t at = 0;

	if (measured &&
	    strcmp(shunt_json_str(measured, "schema"), "shunt.bench.transports/1") != 0)
		return shunt_fail(
			err, -EINVAL,
			"--measured %s: this is not what `shunt bench transports "
			"--json` writes (its schema is \"%.64s\")",
			file, shunt_json_str(measured, "schema"));
	for (; goal && known->name && strcmp(known->name, goal) != 0; known++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, " %s",
				       known->name);
	return known->name ? 0
			   : shunt_fail(err, -EINVAL, "--goal %s: there are%s", goal,
					names);
}

cJSON *shunt_advise(const cJSON *probe, const struct shunt_advise_facts *facts,
		    const cJSON *measured, const char *file, const char *goal)
{
	const cJSON *interface = shunt_json_get(probe, "interface");
	cJSON *reply = cJSON_CreateObject(), *item;
	size_t i;

	cJSON_AddStringToObject(reply, "schema", "shunt.probe.advise/1");
	cJSON_AddStringToObject(reply, "kernel", shunt_json_str(probe, "kernel"));
	cJSON_AddStringToObject(reply, "machine", shunt_json_str(probe, "machine"));
	if (interface) {
		item = cJSON_AddObjectToObject(reply, "interface");
		cJSON_AddStringToObject(item, "name",
					shunt_json_str(interface, "name"));
		cJSON_AddStringToObject(item, "driver",
					shunt_json_str(interface, "driver"));
	}
	put_facts(facts, reply);
	put_measured(measured, file, reply);
	item = cJSON_AddArrayToObject(reply, "goals");
	for (i = 0; shunt_advise_goals[i].name; i++)
		if (!goal || !strcmp(goal, shunt_advise_goals[i].name))
			put_goal(&shunt_advise_goals[i], facts, measured, item);
	return reply;
}
