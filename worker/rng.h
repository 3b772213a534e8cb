/* Philox4x32-10 (Salmon et al., SC'11): a counter-based generator, so that what sample i of epoch e draws depends on
 * nothing but the seed, i, e and the purpose: not on batch size, thread count or device. */
#pragma once

#include "hd.h"

#include <stdint.h>

enum rng_purpose { RNG_AUGMENT = 1, RNG_ORDER = 2, RNG_INIT = 3, RNG_MIX = 4 };

struct philox {
	uint32_t v[4];
};

HD struct philox philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
	uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
	for (int round = 0; round < 10; round++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
		uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c1 = (uint32_t)p1;
		c3 = (uint32_t)p0;
		c0 = n0;
		c2 = n2;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	struct philox r = {{c0, c1, c2, c3}};
	return r;
}

/* Uniform integer in [0, n) from 32 random bits (multiply-shift; the bias of at most n/2^32 is accepted). */
HD uint32_t rng_below(uint32_t bits, uint32_t n)
{
	return (uint32_t)(((uint64_t)bits * n) >> 32);
}

/* Uniform in [0, 1). */
HD double rng_unit(uint32_t bits)
{
	return (double)bits * (1.0 / 4294967296.0);
}
