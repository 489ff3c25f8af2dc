/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/kv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/lib/csum.h"
#include "bpf/lib/kv_question.h"
#include "loader/hook.h"
#include "loader/nic.h"
#include "loader/percpu.h"
#include "maps/config.h"

#include "kv.skel.h"

#define KEYS 65536u

struct shunt_kv {
	struct kv_bpf *skel;
	struct shunt_nic nic;
	struct shunt_place place;
	char *mode; /* that was asked for; NULL */
	int link;
	uint64_t version; /* of what was set last */
	uint32_t keys;
};

/* --- opening ------------------------------------------------------------------------------- */

static int set_up(struct shunt_kv *kv, const struct shunt_kv_opts *opts)
{
	struct kv_bpf *skel = kv->skel;
	uint32_t inbox = opts->modes & SHUNT_KV_WITH_INBOX ? opts->inbox_bytes : 0;
	int ret;

	skel->rodata->shunt_config.features = 0;
	skel->rodata->shunt_door = opts->door;
	memcpy(skel->rodata->shunt_door.mac, kv->nic.mac, sizeof(kv->nic.mac));
	/* XDP_TX takes an XDP program at a veth's other end, a redirect only NAPI */
	skel->rodata->shunt_kv_plan.modes =
		opts->modes | (kv->nic.veth ? SHUNT_KV_WITH_REDIRECT : 0);
	ret = bpf_map__set_max_entries(skel->maps.shunt_kv_map,
				       opts->keys ? opts->keys : KEYS);
	if (!ret && inbox)
		ret = bpf_map__set_max_entries(skel->maps.shunt_inbox, inbox);
	return ret ? ret : kv_bpf__load(skel);
}

static void note_peer(const struct shunt_nic *nic, struct shunt_err *note)
{
	note->message[0] = '\0';
	if (nic->veth && nic->peer_here && !nic->peer_napi)
		shunt_fail(note, 0,
			   "the peer of %s runs no NAPI: answers are lost without a "
			   "trace. Turn GRO on at interface %u (`ethtool -K PEER gro "
			   "on`), or attach an XDP program there",
			   nic->name, nic->peer);
	else if (nic->veth && !nic->peer_here)
		shunt_fail(note, 0,
			   "%s is a veth whose peer is in another network namespace: "
			   "unless an XDP program or GRO (`ethtool -K PEER gro on`) is "
			   "on there, answers are lost without a trace",
			   nic->name);
}

static int open_kv(struct shunt_kv *kv, const struct shunt_kv_opts *opts,
		   struct shunt_err *note, struct shunt_err *err)
{
	int ret = shunt_nic_look(&kv->nic, opts->interface, err);

	if (ret)
		return ret;
	note_peer(&kv->nic, note);
	if (opts->mode && !(kv->mode = strdup(opts->mode)))
		return shunt_fail_errno(err, -ENOMEM, "serve %s", opts->interface);
	kv->skel = kv_bpf__open();
	if (!kv->skel)
		return shunt_fail_errno(err, -errno, "open the program that answers");
	ret = set_up(kv, opts);
	return ret ? shunt_fail_errno(err, ret, "load the program that answers") : 0;
}

int shunt_kv_open(struct shunt_kv **out, const struct shunt_kv_opts *opts,
		  struct shunt_err *note, struct shunt_err *err)
{
	struct shunt_kv *kv = calloc(1, sizeof(*kv));
	int ret;

	*out = NULL;
	if (!kv)
		return shunt_fail_errno(err, -ENOMEM, "serve %s", opts->interface);
	kv->link = -1;
	ret = open_kv(kv, opts, note, err);
	if (ret) {
		shunt_kv_close(kv);
		return ret;
	}
	*out = kv;
	return 0;
}

int shunt_kv_attach(struct shunt_kv *kv, struct shunt_err *note, struct shunt_err *err)
{
	const struct shunt_place_request request = {
		.hook = SHUNT_HOOK_XDP,
		.prog_fd = shunt_kv_program(kv),
		.interface = kv->nic.name,
		.ifindex = kv->nic.ifindex,
		.mode = kv->mode,
	};

	note->message[0] = '\0';
	return shunt_place_attach(&request, &kv->place, &kv->link, note, err);
}

void shunt_kv_close(struct shunt_kv *kv)
{
	if (!kv)
		return;
	if (kv->link >= 0)
		close(kv->link);
	kv_bpf__destroy(kv->skel);
	free(kv->mode);
	free(kv);
}

/* --- keys ---------------------------------------------------------------------------------- */

static int read_key(struct shunt_kv_key *to, const char *key, struct shunt_err *err)
{
	size_t len = strlen(key), i;

	memset(to, 0, sizeof(*to));
	if (!len || len > sizeof(to->bytes))
		return shunt_fail(err, -EINVAL,
				  "key \"%.80s\": it has %zu bytes, of 1 to %zu", key,
				  len, sizeof(to->bytes));
	for (i = 0; i < len; i++)
		if ((uint8_t)key[i] <= ' ' || key[i] == 0x7f)
			return shunt_fail(err, -EINVAL,
					  "key \"%s\": it has a space or a control "
					  "character, which ends a key",
					  key);
	memcpy(to->bytes, key, len);
	return 0;
}

static uint32_t sum_of(const struct shunt_kv_answer *answer)
{
	uint64_t sum = 0;
	uint32_t word, i;

	for (i = 0; i < answer->len; i += sizeof(word)) {
		memcpy(&word, answer->bytes + i, sizeof(word)); /* zeros behind it */
		sum += word;
	}
	return shunt_csum_fold32(sum);
}

int shunt_kv_set(struct shunt_kv *kv, const char *key, const void *value, size_t bytes,
		 struct shunt_err *err)
{
	int fd = bpf_map__fd(kv->skel->maps.shunt_kv_map), ret;
	struct shunt_kv_answer answer = { 0 };
	struct shunt_kv_key name;
	bool known;

	ret = read_key(&name, key, err);
	if (ret)
		return ret;
	if (bytes > SHUNT_KV_VALUE_MAX)
		return shunt_fail(err, -EINVAL,
				  "key \"%s\": its value has %zu bytes, of at most %u",
				  key, bytes, SHUNT_KV_VALUE_MAX);
	answer.len = (uint32_t)snprintf((char *)answer.bytes, sizeof(answer.bytes),
					"%s%s %" PRIu64 " ", SHUNT_KV_VAL_VERB, key,
					++kv->version);
	if (bytes)
		memcpy(answer.bytes + answer.len, value, bytes);
	answer.len += (uint32_t)bytes;
	answer.sum = sum_of(&answer);
	known = !bpf_map_update_elem(fd, &name, &answer, BPF_EXIST);
	if (known)
		return 0;
	if (bpf_map_update_elem(fd, &name, &answer, BPF_NOEXIST))
		return shunt_fail_errno(err, -errno, "set key \"%s\"%s", key,
					errno == E2BIG ? ", of as many as there may be"
						       : "");
	kv->keys++;
	return 0;
}

int shunt_kv_del(struct shunt_kv *kv, const char *key, struct shunt_err *err)
{
	struct shunt_kv_key name;
	int ret = read_key(&name, key, err);

	if (ret)
		return ret;
	if (bpf_map_delete_elem(bpf_map__fd(kv->skel->maps.shunt_kv_map), &name))
		return errno == ENOENT
			       ? shunt_fail(err, -ENOENT, "there is no key \"%s\"", key)
			       : shunt_fail_errno(err, -errno, "delete key \"%s\"",
						  key);
	kv->keys--;
	return 0;
}

/* --- what it tells ------------------------------------------------------------------------- */

uint32_t shunt_kv_keys(const struct shunt_kv *kv)
{
	return kv->keys;
}

int shunt_kv_counts(const struct shunt_kv *kv, uint64_t count[SHUNT_KV_RESULT_MAX],
		    struct shunt_err *err)
{
	return shunt_percpu_sum(bpf_map__fd(kv->skel->maps.shunt_kv_count), count,
				SHUNT_KV_RESULT_MAX, err);
}

const char *shunt_kv_mode(const struct shunt_kv *kv)
{
	return kv->place.mode;
}

int shunt_kv_program(const struct shunt_kv *kv)
{
	return bpf_program__fd(kv->skel->progs.shunt_kv);
}

int shunt_kv_inbox(const struct shunt_kv *kv)
{
	return bpf_map__fd(kv->skel->maps.shunt_inbox);
}

int shunt_kv_losses(const struct shunt_kv *kv)
{
	return bpf_map__fd(kv->skel->maps.shunt_inbox_loss);
}

struct shunt_inbox_state *shunt_kv_inbox_state(const struct shunt_kv *kv)
{
	return &kv->skel->bss->shunt_inbox_state;
}
