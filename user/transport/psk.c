/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/psk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "user/base/cleanup.h"

static int check_file(int fd, const char *path, struct shunt_err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return shunt_fail_errno(err, -errno, "key %s", path);
	if (!S_ISREG(st.st_mode))
		return shunt_fail(err, -EINVAL, "key %s: no regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return shunt_fail(err, -EACCES,
				  "key %s: user %u owns it, who could change it; it "
				  "must be yours or root's",
				  path, st.st_uid);
	if (st.st_mode & 077)
		return shunt_fail(
			err, -EACCES,
			"key %s: others may use it (mode %04o): chmod 600 it, "
			"and make a new one if others could read it",
			path, st.st_mode & 07777);
	if (st.st_size != SHUNT_PSK_BYTES)
		return shunt_fail(err, -EINVAL,
				  "key %s: %lld bytes instead of %u: make one by "
				  "`head -c %u /dev/urandom`",
				  path, (long long)st.st_size, SHUNT_PSK_BYTES,
				  SHUNT_PSK_BYTES);
	return 0;
}

int shunt_psk_open(struct shunt_psk **psk, const uint8_t key[SHUNT_PSK_BYTES],
		   struct shunt_err *err)
{
	static const char name[] = "shunt connection marks 1";
	void *room;

	if (sodium_init() < 0)
		return shunt_fail(err, -EIO, "libsodium finds no random numbers here");
	if (sodium_is_zero(key, SHUNT_PSK_BYTES))
		return shunt_fail(err, -EINVAL, "the key is nothing but zeros");
	/* A page of its own: what is locked in memory and left out of core files is
	 * counted in pages. */
	room = mmap(NULL, sizeof(**psk), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "memory for a key");
	*psk = room;
	/* Either may be forbidden, which makes the key no weaker on the wire. */
	(void)sodium_mlock(room, sizeof(**psk));
	(void)madvise(room, sizeof(**psk), MADV_DONTDUMP);
	memcpy((*psk)->key, key, SHUNT_PSK_BYTES);
	crypto_generichash_blake2b((*psk)->marks, SHUNT_PSK_BYTES,
				   (const uint8_t *)name, sizeof(name) - 1, key,
				   SHUNT_PSK_BYTES);
	return 0;
}

int shunt_psk_read(struct shunt_psk **psk, const char *path, struct shunt_err *err)
{
	/* O_NONBLOCK: a FIFO with nobody behind it must not hang us before fstat. */
	_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint8_t key[SHUNT_PSK_BYTES];
	ssize_t got;
	int ret;

	if (fd < 0)
		return shunt_fail_errno(err, -errno, "key %s", path);
	ret = check_file(fd, path, err);
	if (ret)
		return ret;
	got = read(fd, key, sizeof(key));
	if (got == (ssize_t)sizeof(key)) {
		ret = shunt_psk_open(psk, key, err);
		if (ret)
			ret = shunt_fail_in(err, ret, "key %s: ", path);
	} else {
		ret = got < 0 ? shunt_fail_errno(err, -errno, "key %s", path)
			      : shunt_fail(err, -EINVAL, "key %s: it was cut just now",
					   path);
	}
	sodium_memzero(key, sizeof(key));
	return ret;
}

void shunt_psk_close(struct shunt_psk *psk)
{
	if (!psk)
		return;
	sodium_munlock(psk, sizeof(*psk)); /* wipes it */
	munmap(psk, sizeof(*psk));
}

void shunt_psk_mark(const struct shunt_psk *psk, const void *a, size_t a_bytes,
		    const void *b, size_t b_bytes, uint8_t mark[SHUNT_PSK_MARK])
{
	crypto_generichash_blake2b_state state;

	crypto_generichash_blake2b_init(&state, psk->marks, SHUNT_PSK_BYTES,
					SHUNT_PSK_MARK);
	crypto_generichash_blake2b_update(&state, a, a_bytes);
	crypto_generichash_blake2b_update(&state, b, b_bytes);
	crypto_generichash_blake2b_final(&state, mark, SHUNT_PSK_MARK);
	sodium_memzero(&state, sizeof(state));
}
