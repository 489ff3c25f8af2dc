/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine for few rules: each alternative is a bit of every vector, in their order. */
#include <errno.h>

#include "loader/policy/engine.h"

static struct shunt_image_vectors *engine_head(const struct shunt_engine_build *e)
{
	return &shunt_build_head(e->b)->vectors;
}

static int build_places(struct shunt_engine_build *e)
{
	uint32_t at = shunt_build_piece(e->b, e->alts * sizeof(uint16_t));
	size_t a;

	if (!at)
		return -ENOMEM;
	for (a = 0; a < e->alts; a++)
		((uint16_t *)shunt_build_at(e->b, at))[a] = e->alt[a].rule;
	engine_head(e)->place = at;
	engine_head(e)->rules = e->alts;
	return 0;
}

static int build_pool(struct shunt_engine_build *e)
{
	size_t bytes = e->pool.n * e->pool.words * sizeof(uint64_t);
	uint32_t at = shunt_build_piece(e->b, bytes);

	if (!at)
		return -ENOMEM;
	if (bytes)
		memcpy(shunt_build_at(e->b, at), e->pool.at, bytes);
	engine_head(e)->vector = at;
	engine_head(e)->vectors = e->pool.n;
	e->b->stats->classes += e->pool.n;
	return 0;
}

int shunt_build_vectors(struct shunt_build *b, const struct shunt_alt *alt, size_t alts)
{
	struct shunt_engine_build e = {
		.b = b,
		.alt = alt,
		.alts = alts,
		.engine = SHUNT_ENGINE_VECTORS,
		.tables = offsetof(struct shunt_image, vectors.tables),
		.pool.words = SHUNT_IMAGE_WORDS,
	};
	uint16_t free[SHUNT_SIDE_MAX], ask[SHUNT_SIDE_MAX] = { 0 };
	uint16_t asks[SHUNT_SIDE_MAX] = { 0 };
	int ret = build_places(&e);

	if (!ret)
		ret = shunt_engine_lookups(&e);
	if (!ret)
		ret = shunt_engine_sets(&e, free, ask, asks);
	if (!ret)
		ret = build_pool(&e);
	if (!ret) {
		memcpy(engine_head(&e)->free, free, sizeof(free));
		memcpy(engine_head(&e)->ask, ask, sizeof(ask));
		memcpy(engine_head(&e)->asks, asks, sizeof(asks));
	}
	if (ret == -E2BIG)
		b->full = "classes";
	shunt_engine_free(&e);
	return ret;
}
