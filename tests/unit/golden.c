/* See golden.h. */
#include "golden.h"

#include <math.h>

json_t *golden_load(const char *file)
{
	const char *dir = getenv("GOLDEN_DIR");
	json_error_t e;
	if (!dir)
		fail_msg("GOLDEN_DIR is not set; run the tests through meson");
	autofree char *path = xasprintf("%s/%s", dir, file);
	json_t *j = json_load_file(path, 0, &e);
	if (!j)
		fail_msg("%s: %s", path, e.text);
	return j;
}

json_t *golden_get(const json_t *object, const char *key)
{
	json_t *v = json_object_get(object, key);
	if (!v)
		fail_msg("golden file without \"%s\"", key);
	return v;
}

static void collect(const json_t *j, double **values, size_t *n)
{
	if (json_is_array(j)) {
		for (size_t i = 0; i < json_array_size(j); i++)
			collect(json_array_get(j, i), values, n);
		return;
	}
	assert_true(json_is_number(j));
	*values = xrealloc_array(*values, *n + 1, sizeof(**values));
	(*values)[(*n)++] = json_number_value(j);
}

double *golden_doubles(const json_t *array, size_t *ret_n)
{
	double *values = NULL;
	size_t n = 0;
	collect(array, &values, &n);
	if (ret_n)
		*ret_n = n;
	return values;
}

/* --- formulas --- */

static uint64_t splitmix64(uint64_t z)
{
	z += 0x9E3779B97F4A7C15u;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

double golden_u(uint64_t tid, uint64_t i)
{
	return (double)(splitmix64((tid << 32) + i) >> 40) * 0x1p-23 - 1;
}

/* values = base + scale * u, each operation in float as the generator does. */
static void fill_u(double *values, size_t n, uint64_t tid, float base, float scale)
{
	for (size_t i = 0; i < n; i++) {
		float scaled = scale * (float)golden_u(tid, i);
		values[i] = base == 0 ? scaled : base + scaled;
	}
}

static void fill_param(const struct net_param *p, double *values, uint64_t tid)
{
	float base = 0, scale = 0;
	switch (p->role) {
	case ROLE_CONV:
		scale = (float)sqrt(6.0 / (p->shape[0] * p->shape[2] * p->shape[3]));
		break;
	case ROLE_BN_WEIGHT:
		base = 1;
		scale = 0.1f;
		break;
	case ROLE_BN_BIAS:
	case ROLE_FC_BIAS:
		scale = 0.1f;
		break;
	case ROLE_FC_WEIGHT:
		scale = (float)(1 / sqrt(p->shape[1]));
		break;
	}
	fill_u(values, p->count, tid, base, scale);
}

void golden_fill(const struct net *net, double *params, double *buffers)
{
	uint64_t tid = 0;
	for (int i = 0, bn = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		fill_param(p, params + p->offset, tid++);
		if (p->role != ROLE_BN_BIAS)
			continue;
		size_t channels = (size_t)net->bns[bn].channels;
		double *mean = buffers + net->bns[bn++].offset;
		fill_u(mean, channels, tid++, 0, 0.1f);
		fill_u(mean + channels, channels, tid++, 1, 0.5f);
	}
}

static uint8_t golden_byte(const char *kind, int size, int y, int x, int c)
{
	uint8_t noise = (uint8_t)(splitmix64((2000ull << 32) + (uint64_t)((y * size + x) * 3 + c)) >> 56);
	int last = size - 1;
	if (str_eq(kind, "faint"))
		return (uint8_t)(100 + golden_byte("smooth", size, y, x, c) / 16);
	if (str_eq(kind, "noise"))
		return noise;
	if (str_eq(kind, "two"))
		return noise > 127 ? 203 : 17;
	assert_string_equal(kind, "smooth");
	int base = c == 0 ? x * 255 / last : c == 1 ? y * 255 / last : (x + y) * 255 / (2 * last);
	return (uint8_t)((3 * base + noise) / 4);
}

uint8_t *golden_image(const char *kind, int size)
{
	uint8_t *planes = xmalloc((size_t)(3 * size * size));
	bool gray = str_eq(kind, "gray"); /* the smooth one's first channel */
	for (int i = 0; i < 3 * size * size; i++)
		planes[i] = golden_byte(gray ? "smooth" : kind, size, i / size % size, i % size, gray ? 0 : i / (size * size));
	return planes;
}

/* --- what is kept of a tensor --- */

void golden_projections(const double *v, size_t n, double ret[GOLDEN_PROJECTIONS])
{
	static const double signs[] = {-1, 1};
	double sums[GOLDEN_PROJECTIONS] = {0};
	for (size_t i = 0; i < n; i++) {
		uint64_t bits = splitmix64((3000ull << 32) + i) >> 56;
		for (int j = 0; j < GOLDEN_PROJECTIONS; j++)
			sums[j] += v[i] * signs[bits >> j & 1];
	}
	memcpy(ret, sums, sizeof(sums));
}

void golden_compare(const json_t *stats, const double *v, size_t n, double *difference, double *norm)
{
	double found[GOLDEN_PROJECTIONS], l2 = json_number_value(golden_get(stats, "l2"));
	autofree double *expected = golden_doubles(golden_get(stats, "proj"), NULL);
	golden_projections(v, n, found);
	for (int j = 0; difference && j < GOLDEN_PROJECTIONS; j++)
		*difference += (found[j] - expected[j]) * (found[j] - expected[j]) / GOLDEN_PROJECTIONS;
	if (norm)
		*norm += l2 * l2;
}

/* --- SHA-256 (FIPS 180-4) --- */

static uint32_t rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* First 32 bits of the fraction of the root (2: square, 3: cube) of the i-th prime, as the standard defines them. */
static uint32_t prime_root(int i, int root)
{
	int prime = 2;
	for (int found = 0;; prime++) {
		bool is_prime = true;
		for (int d = 2; d * d <= prime; d++)
			is_prime = is_prime && prime % d != 0;
		if (is_prime && found++ == i)
			break;
	}
	long double r = root == 2 ? sqrtl(prime) : cbrtl(prime);
	return (uint32_t)((r - floorl(r)) * 0x1p32L);
}

static void sha256_block(uint32_t h[8], const uint8_t *block)
{
	static uint32_t k[64];
	uint32_t w[64], s[8];
	for (int i = 0; i < 64 && k[63] == 0; i++)
		k[i] = prime_root(i, 3);
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
	}
	memcpy(s, h, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (rotr(s[4], 6) ^ rotr(s[4], 11) ^ rotr(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
			      k[i] + w[i];
		uint32_t t2 = (rotr(s[0], 2) ^ rotr(s[0], 13) ^ rotr(s[0], 22)) +
			      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof(*s));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += s[i];
}

void sha256_hex(const void *bytes, size_t size, char ret[65])
{
	uint32_t h[8];
	uint8_t last[128] = {0};
	size_t whole = size / 64 * 64, rest = size - whole, tail = rest < 56 ? 64 : 128;
	for (int i = 0; i < 8; i++)
		h[i] = prime_root(i, 2);
	memcpy(last, (const uint8_t *)bytes + whole, rest);
	last[rest] = 0x80;
	for (int i = 0; i < 8; i++)
		last[tail - 1 - (size_t)i] = (uint8_t)((uint64_t)size * 8 >> (8 * i));
	for (size_t i = 0; i < whole; i += 64)
		sha256_block(h, (const uint8_t *)bytes + i);
	for (size_t i = 0; i < tail; i += 64)
		sha256_block(h, last + i);
	for (int i = 0; i < 8; i++)
		snprintf(ret + 8 * i, 9, "%08x", h[i]);
}

void assert_near(double actual, double expected, double relative, double absolute, const char *what)
{
	double allowed = absolute + relative * fabs(expected);
	if (!(fabs(actual - expected) <= allowed))
		fail_msg("%s: %.17g, expected %.17g within %.3g (off by %.3g)", what, actual, expected, allowed,
			 fabs(actual - expected));
}
