/* Golden numbers of tests/golden (see its README) and the formulas that make their inputs.  The directory comes from
 * the environment variable GOLDEN_DIR. */
#pragma once

#include "cmocka_all.h"

#include "worker/model.h"

#include <jansson.h>

/* The file's object; a file that cannot be read fails the test.  Caller decrefs. */
json_t *golden_load(const char *file);
/* Member of an object, which must exist; borrowed. */
json_t *golden_get(const json_t *object, const char *key);
/* Numbers of an array, nested or not, in order.  Caller frees. */
double *golden_doubles(const json_t *array, size_t *ret_n);

/* u(tid, i) in [-1, 1), exact in float. */
double golden_u(uint64_t tid, uint64_t i);
/* Every parameter and running statistic by the formula `fill` of resnet.json. */
void golden_fill(const struct net *net, double *params, double *buffers);
/* An image of transforms.json, as planes (3, size, size): kind smooth, noise, gray, faint or two.  Caller frees. */
uint8_t *golden_image(const char *kind, int size);

enum { GOLDEN_PROJECTIONS = 8 };
/* On vectors of +1 and -1, by the top bits of splitmix64's stream 3000 (golden/formulas.py): the mean square of the
 * differences of two tensors' projections estimates the square of their Euclidean distance. */
void golden_projections(const double *v, size_t n, double ret[GOLDEN_PROJECTIONS]);
/* Of a tensor and its golden stats ("l2", "proj"): += the estimated square of their distance, += the square of its norm;
 * either may be NULL. */
void golden_compare(const json_t *stats, const double *v, size_t n, double *difference, double *norm);

/* Lower-case hex digits of the SHA-256 of bytes. */
void sha256_hex(const void *bytes, size_t size, char ret[65]);

/* |actual - expected| <= absolute + relative * |expected|; what: printed on failure. */
void assert_near(double actual, double expected, double relative, double absolute, const char *what);
