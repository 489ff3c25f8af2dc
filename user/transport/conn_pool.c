/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/conn_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/conn_impl.h"

enum member_state {
	ABSENT,	 /* is called when its time has come */
	CALLING, /* has a hello */
	IDLE,	 /* has a connection, as the last two */
	TAKEN,
};

struct member {
	enum member_state state;
	const char *address;
	struct shunt_conn_hello *hello;
	struct shunt_conn *conn;
	uint64_t call_ns; /* not earlier */
	uint64_t pause_ns;
	TAILQ_ENTRY(member) link; /* IDLE: the one that waits longest first */
};

struct shunt_conn_pool {
	struct shunt_conns *conns;
	struct member *member;
	char *addresses; /* copies, one behind the other */
	TAILQ_HEAD(, member) idle;
	struct shunt_conn_pool_wait *first, **last;
	uint64_t fresh_ns;
	struct shunt_conn_pool_stats count;
};

static char *copy_addresses(const struct shunt_conn_pool_opts *opts)
{
	size_t bytes = 0;
	char *copy, *at;
	uint32_t i;

	for (i = 0; i < opts->peers; i++)
		bytes += strlen(opts->addresses[i]) + 1;
	copy = malloc(bytes);
	for (i = 0, at = copy; copy && i < opts->peers; i++)
		at = stpcpy(at, opts->addresses[i]) + 1;
	return copy;
}

int shunt_conn_pool_open(struct shunt_conn_pool **pool, struct shunt_conns *conns,
			 const struct shunt_conn_pool_opts *opts, struct shunt_err *err)
{
	struct shunt_conn_pool_opts filled = { 0 };
	struct shunt_conn_pool *made;
	const char *address;
	uint32_t i;

	memcpy(&filled, opts, opts->sz < sizeof(filled) ? opts->sz : sizeof(filled));
	filled.each = filled.each ? filled.each : 2;
	if (!filled.peers || filled.peers > conns->opts.connections ||
	    filled.each > conns->opts.connections / filled.peers)
		return shunt_fail(err, -EINVAL,
				  "pool: %u connections to each of %u peers; there is "
				  "room for %u, and one is the least",
				  filled.each, filled.peers, conns->opts.connections);
	made = calloc(1, sizeof(*made));
	if (!made)
		return shunt_fail(err, -ENOMEM, "no memory for a pool");
	made->conns = conns;
	made->last = &made->first;
	made->count.all = filled.peers * filled.each;
	made->fresh_ns = filled.fresh_ms ? filled.fresh_ms * 1000000ull
					 : conns->rules.keepalive_ns * 3 / 2;
	made->member = calloc(made->count.all, sizeof(*made->member));
	made->addresses = copy_addresses(&filled);
	TAILQ_INIT(&made->idle);
	if (!made->member || !made->addresses) {
		made->count.all = 0;
		shunt_conn_pool_close(made);
		return shunt_fail(err, -ENOMEM, "no memory for a pool");
	}
	for (i = 0, address = made->addresses; i < made->count.all; i++) {
		made->member[i].address = address;
		if (i % filled.each == filled.each - 1)
			address += strlen(address) + 1;
	}
	*pool = made;
	return 0;
}

void shunt_conn_pool_close(struct shunt_conn_pool *pool)
{
	struct shunt_conn_pool_wait *wait;
	uint32_t i;

	if (!pool)
		return;
	while ((wait = pool->first)) {
		pool->first = wait->next;
		wait->answer(wait, NULL, -ECANCELED);
	}
	for (i = 0; i < pool->count.all; i++) {
		shunt_conn_give_up(pool->member[i].hello);
		shunt_conn_close(pool->member[i].conn);
	}
	free(pool->member);
	free(pool->addresses);
	free(pool);
}

/* --- its members ---------------------------------------------------------------------------- */

static void become_idle(struct shunt_conn_pool *pool, struct member *member)
{
	shunt_conn_set_user(member->conn, NULL);
	shunt_conn_mute(member->conn, true);
	member->state = IDLE;
	TAILQ_INSERT_TAIL(&pool->idle, member, link);
	pool->count.idle++;
}

static void leave_idle(struct shunt_conn_pool *pool, struct member *member)
{
	TAILQ_REMOVE(&pool->idle, member, link);
	pool->count.idle--;
}

/* It is called again, but not at once if that has just come to nothing. */
static void become_absent(struct shunt_conn_pool *pool, struct member *member,
			  bool failed)
{
	const struct shunt_conn_rules *rules = &pool->conns->rules;

	member->state = ABSENT;
	member->hello = NULL;
	member->conn = NULL;
	if (!failed)
		member->pause_ns = 0;
	else if (!member->pause_ns)
		member->pause_ns = rules->retry_ns;
	else if (member->pause_ns < rules->retry_max_ns)
		member->pause_ns *= 2;
	member->call_ns = shunt_now_ns() + member->pause_ns;
}

static void call(struct shunt_conn_pool *pool, struct member *member)
{
	if (shunt_conn_call(pool->conns, &member->hello, member->address, NULL))
		become_absent(pool, member, true);
	else
		member->state = CALLING;
}

/* True: it is something else than before. */
static bool look_after(struct shunt_conn_pool *pool, struct member *member,
		       uint64_t now_ns)
{
	int ret;

	switch (member->state) {
	case ABSENT:
		if (now_ns < member->call_ns)
			return false;
		call(pool, member);
		return true;
	case CALLING:
		ret = shunt_conn_proven(&member->hello, &member->conn, NULL);
		if (ret > 0)
			become_idle(pool, member);
		else if (ret < 0)
			become_absent(pool, member, true);
		return ret != 0;
	case IDLE:
		if (!shunt_conn_has_ended(member->conn))
			return false;
		leave_idle(pool, member);
		shunt_conn_close(member->conn);
		become_absent(pool, member, false);
		pool->count.replaced++;
		return true;
	case TAKEN:
		break;
	}
	return false;
}

/* The first one that is sound for certain. */
static struct member *find_sound(struct shunt_conn_pool *pool, uint64_t now_ns)
{
	struct member *member;

	TAILQ_FOREACH(member, &pool->idle, link)
	{
		const uint64_t heard_ns = shunt_conn_heard_ns(member->conn);

		if (!shunt_conn_is_up(member->conn))
			continue;
		if (heard_ns + pool->fresh_ns >= now_ns)
			return member;
		pool->count.doubted += !member->conn->state.probes;
		shunt_conn_doubt(member->conn);
	}
	return NULL;
}

/* --- who waits ------------------------------------------------------------------------------- */

static void hand_out(struct shunt_conn_pool *pool, struct member *member)
{
	struct shunt_conn_pool_wait *wait = pool->first;

	pool->first = wait->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->count.waiting--;
	pool->count.handed++;
	pool->count.taken++;
	leave_idle(pool, member);
	member->state = TAKEN;
	shunt_conn_mute(member->conn, false);
	wait->answer(wait, member->conn, 0);
}

static unsigned int end_waits(struct shunt_conn_pool *pool, uint64_t now_ns)
{
	struct shunt_conn_pool_wait **at = &pool->first, *late = NULL, **end = &late;
	unsigned int n = 0;

	while (*at) {
		struct shunt_conn_pool_wait *wait = *at;

		if (wait->until_ns > now_ns) {
			at = &wait->next;
			continue;
		}
		*at = wait->next;
		wait->next = NULL;
		*end = wait;
		end = &wait->next;
	}
	pool->last = at;
	/* they may ask again: the line is in order before the first one is told */
	for (; late; n++) {
		struct shunt_conn_pool_wait *wait = late;

		late = wait->next;
		pool->count.waiting--;
		pool->count.timeouts++;
		wait->answer(wait, NULL, -ETIMEDOUT);
	}
	return n;
}

unsigned int shunt_conn_pool_run(struct shunt_conn_pool *pool)
{
	const uint64_t now_ns = shunt_now_ns();
	uint32_t left = pool->count.waiting, i;
	unsigned int n = 0;
	struct member *member;

	for (i = 0; i < pool->count.all; i++)
		n += look_after(pool, &pool->member[i], now_ns);
	/* those who wait now; who asks from an answer has his turn the next time */
	for (; left && pool->first; left--, n++) {
		member = find_sound(pool, now_ns);
		if (!member)
			break;
		hand_out(pool, member);
	}
	return n + end_waits(pool, now_ns);
}

uint64_t shunt_conn_pool_due(const struct shunt_conn_pool *pool)
{
	const struct shunt_conn_pool_wait *wait;
	uint64_t due_ns = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < pool->count.all; i++)
		if (pool->member[i].state == ABSENT && pool->member[i].call_ns < due_ns)
			due_ns = pool->member[i].call_ns;
	for (wait = pool->first; wait; wait = wait->next)
		due_ns = wait->until_ns < due_ns ? wait->until_ns : due_ns;
	return due_ns;
}

void shunt_conn_pool_ask(struct shunt_conn_pool *pool,
			 struct shunt_conn_pool_wait *wait)
{
	wait->next = NULL;
	*pool->last = wait;
	pool->last = &wait->next;
	pool->count.waiting++;
}

struct taker {
	struct shunt_conn_pool_wait wait;
	struct shunt_conn *conn;
	int error;
};

static void take_answer(struct shunt_conn_pool_wait *wait, struct shunt_conn *conn,
			int error)
{
	struct taker *taker = (struct taker *)wait;

	taker->conn = conn;
	taker->error = error;
}

static void leave_line(struct shunt_conn_pool *pool, struct shunt_conn_pool_wait *wait)
{
	struct shunt_conn_pool_wait **at = &pool->first;

	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	if (!*at)
		pool->last = at;
	pool->count.waiting--;
}

/* Runs the endpoint once, and waits if that was nothing; 0 or -errno. */
static int run_endpoint(const struct shunt_conn_pool *pool, struct shunt_err *err)
{
	uint64_t now_ns, due_ns, pool_ns = shunt_conn_pool_due(pool);
	int ret = shunt_conns_run(pool->conns, err);

	if (ret)
		return ret < 0 ? ret : 0;
	now_ns = shunt_now_ns();
	due_ns = shunt_conns_due(pool->conns);
	due_ns = pool_ns < due_ns ? pool_ns : due_ns;
	if (due_ns <= now_ns)
		return 0;
	ret = shunt_transport_poll(pool->conns->transport, due_ns - now_ns, err);
	return ret < 0 ? ret : 0;
}

int shunt_conn_pool_take(struct shunt_conn_pool *pool, struct shunt_conn **conn,
			 uint64_t timeout_ns, struct shunt_err *err)
{
	struct taker taker = { .wait = { .answer = take_answer,
					 .until_ns = shunt_now_ns() + timeout_ns } };

	shunt_conn_pool_ask(pool, &taker.wait);
	for (;;) {
		int ret;

		(void)shunt_conn_pool_run(pool);
		if (taker.conn || taker.error)
			break;
		ret = run_endpoint(pool, err);
		if (ret < 0) {
			leave_line(pool, &taker.wait);
			return ret;
		}
	}
	*conn = taker.conn;
	if (taker.error)
		return shunt_fail(err, taker.error,
				  "pool: of %u connections, %u are taken and none is "
				  "sound after %llu ms",
				  pool->count.all, pool->count.taken,
				  (unsigned long long)(timeout_ns / 1000000));
	return 0;
}

static struct member *member_of(struct shunt_conn_pool *pool,
				const struct shunt_conn *conn)
{
	uint32_t i;

	for (i = 0; i < pool->count.all; i++)
		if (pool->member[i].state == TAKEN && pool->member[i].conn == conn)
			return &pool->member[i];
	return NULL;
}

void shunt_conn_pool_give(struct shunt_conn_pool *pool, struct shunt_conn *conn)
{
	struct member *member = member_of(pool, conn);

	if (!member)
		return;
	pool->count.taken--;
	become_idle(pool, member);
}

void shunt_conn_pool_discard(struct shunt_conn_pool *pool, struct shunt_conn *conn)
{
	struct member *member = member_of(pool, conn);

	if (!member)
		return;
	pool->count.taken--;
	shunt_conn_close(conn);
	become_absent(pool, member, false);
}

void shunt_conn_pool_stats(const struct shunt_conn_pool *pool,
			   struct shunt_conn_pool_stats *stats)
{
	*stats = pool->count;
}
