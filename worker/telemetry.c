/* See telemetry.h. */
#include "telemetry.h"

#include "procstat.h"
#include "rapl.h"

#include "common/clock.h"
#include "common/json.h"
#include "cuda/nvml.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#define SAMPLE_S      1.0
#define FIRST_S	      5.0
#define REPORT_S      30.0
#define JOIN_S	      5 /* a driver that hangs is left behind */
#define MIB	      1048576.0

static atomic_int n_active; /* attempts that train in this process */

struct mean {
	double sum, weight;
};

struct interval { /* since the last report */
	double since_s, cpu_s, joules;
	struct mean gpu_percent, sm_clock_mhz;
	int64_t ram_mib, vram_mib, temperature_c; /* most; NVML_UNKNOWN */
};

struct telemetry {
	struct telemetry_config config;
	char gpu[96];
	struct nvml *nvml;
	struct nvml_watch *watch;
	struct rapl *rapl;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	bool stop, running;
	double at_s, cpu_s; /* of the last sample */
	struct nvml_reading reading; /* the last one */
	int64_t first_ecc;
	double counted_j; /* what the device's counter has shown, of the last sample */
	double cpu_used_s, joules, watts; /* this attempt's so far; NAN: not known */
	struct interval report;
	double epoch_s, epoch_j;
	int64_t epoch_vram_mib;
	char trouble[TELEMETRY_TROUBLE_MAX];
};

static const struct nvml_reading nothing_read = {NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN,
						 NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN};

/* --- samples --- */

struct sample { /* read without the lock: a driver takes its time */
	double at_s, cpu_s;
	int64_t ram_mib;
	struct nvml_reading gpu;
	double rapl_j;
	char trouble[TELEMETRY_TROUBLE_MAX];
};

static void take_sample(struct telemetry *t, struct sample *s)
{
	struct err err;
	int xid = t->watch ? nvml_watch_next(t->watch) : 0;
	*s = (struct sample){.ram_mib = procstat_ram_mib(), .gpu = nothing_read, .rapl_j = NAN};
	if (t->nvml && nvml_read(t->nvml, t->gpu, &s->gpu, &err) == -ENODEV)
		snprintf(s->trouble, sizeof(s->trouble), "the NVIDIA driver says: %.200s", err.text);
	if (xid)
		snprintf(s->trouble, sizeof(s->trouble), "the NVIDIA driver reported Xid %d%s%s", xid,
			 *nvml_xid_text(xid) ? ": " : "", nvml_xid_text(xid));
	if (t->rapl)
		s->rapl_j = rapl_joules(t->rapl);
	s->cpu_s = procstat_cpu_seconds();
	s->at_s = monotonic_s();
}

/* Energy since the last sample: by the counter of the device, else power times time (trapezoid). */
static double energy_since(const struct telemetry *t, const struct sample *s, double seconds)
{
	if (!t->nvml)
		return s->rapl_j - t->counted_j;
	if (s->gpu.energy_mj != NVML_UNKNOWN && t->reading.energy_mj != NVML_UNKNOWN)
		return (double)(s->gpu.energy_mj - t->reading.energy_mj) / 1000;
	if (s->gpu.power_mw != NVML_UNKNOWN && t->reading.power_mw != NVML_UNKNOWN)
		return (s->gpu.power_mw + t->reading.power_mw) / 2000.0 * seconds;
	return NAN;
}

static void add_mean(struct mean *m, int value, double weight)
{
	if (value == NVML_UNKNOWN)
		return;
	m->sum += value * weight;
	m->weight += weight;
}

static void add_trouble(struct telemetry *t, const struct sample *s)
{
	int64_t ecc = s->gpu.ecc_uncorrected;
	if (t->first_ecc == NVML_UNKNOWN)
		t->first_ecc = ecc;
	if (*s->trouble && !*t->trouble)
		memcpy(t->trouble, s->trouble, sizeof(t->trouble));
	else if (ecc != NVML_UNKNOWN && ecc > t->first_ecc && !*t->trouble)
		snprintf(t->trouble, sizeof(t->trouble), "its memory has had %lld uncorrectable errors in this run",
			 (long long)(ecc - t->first_ecc));
}

static int64_t vram_mib(const struct telemetry *t, const struct nvml_reading *gpu)
{
	if (atomic_load(&n_active) > 1 && t->config.own_bytes)
		return (int64_t)ceil((double)t->config.own_bytes / MIB);
	return gpu->memory_used_bytes == NVML_UNKNOWN ? NVML_UNKNOWN : (int64_t)ceil((double)gpu->memory_used_bytes / MIB);
}

static void add_energy(struct telemetry *t, const struct sample *s, double seconds, int share)
{
	double joules = energy_since(t, s, seconds);
	if (isnan(t->joules) && s->gpu.power_mw != NVML_UNKNOWN) { /* the first sample: nothing has passed yet */
		t->joules = 0;
		t->watts = s->gpu.power_mw / 1000.0 / share;
	}
	if (isnan(joules))
		return;
	t->joules = (isnan(t->joules) ? 0 : t->joules) + joules / share;
	t->watts = seconds > 0 ? joules / seconds / share : t->watts;
}

static void add_sample(struct telemetry *t, const struct sample *s)
{
	int share = MAX(atomic_load(&n_active), 1);
	double seconds = s->at_s - t->at_s;
	struct interval *in = &t->report;
	add_energy(t, s, seconds, share);
	add_trouble(t, s);
	t->cpu_used_s += (s->cpu_s - t->cpu_s) / share;
	add_mean(&in->gpu_percent, s->gpu.utilization_percent, seconds);
	add_mean(&in->sm_clock_mhz, s->gpu.sm_clock_mhz, seconds);
	in->ram_mib = MAX(in->ram_mib, s->ram_mib);
	in->vram_mib = MAX(in->vram_mib, vram_mib(t, &s->gpu));
	in->temperature_c = MAX(in->temperature_c, s->gpu.temperature_c);
	t->epoch_vram_mib = MAX(t->epoch_vram_mib, vram_mib(t, &s->gpu));
	t->at_s = s->at_s;
	t->cpu_s = s->cpu_s;
	t->counted_j = s->rapl_j;
	t->reading = s->gpu;
}

static void begin_report(struct telemetry *t)
{
	t->report = (struct interval){
		.since_s = t->at_s,
		.cpu_s = t->cpu_used_s,
		.joules = t->joules,
		.ram_mib = NVML_UNKNOWN,
		.vram_mib = NVML_UNKNOWN,
		.temperature_c = NVML_UNKNOWN,
	};
}

/* --- events --- */

static void add_value(json_t *values, const char *name, double value)
{
	if (isfinite(value))
		json_object_set_new(values, name, json_real(value));
}

static void add_count(json_t *values, const char *name, int64_t value)
{
	if (value != NVML_UNKNOWN)
		json_object_set_new(values, name, json_integer(value));
}

static json_t *values_of(const struct telemetry *t)
{
	const struct interval *in = &t->report;
	double seconds = t->at_s - in->since_s, joules = t->joules - (isnan(in->joules) ? 0 : in->joules);
	json_t *values = json_object();
	add_value(values, "seconds", seconds);
	if (seconds > 0) {
		add_value(values, "cpu_percent", 100 * (t->cpu_used_s - in->cpu_s) / seconds);
		add_value(values, "watts", joules / seconds);
	}
	add_count(values, "ram_mib", in->ram_mib);
	add_value(values, "gpu_percent", in->gpu_percent.sum / in->gpu_percent.weight);
	add_count(values, "vram_mib", in->vram_mib);
	add_value(values, "joules", joules);
	add_count(values, "temperature_c", in->temperature_c);
	add_value(values, "sm_clock_mhz", in->sm_clock_mhz.sum / in->sm_clock_mhz.weight);
	add_count(values, "ecc_corrected", t->reading.ecc_corrected);
	add_count(values, "ecc_uncorrected", t->reading.ecc_uncorrected);
	return values;
}

/* With the lock; the disk is waited for without it. */
static void report(struct telemetry *t)
{
	struct event_log *events = t->config.events;
	json_t *values = values_of(t);
	begin_report(t);
	pthread_mutex_unlock(&t->lock);
	if (events)
		event_emit(events, "telemetry", json_pack("{s:o}", "values", values), NULL);
	else
		json_decref(values);
	pthread_mutex_lock(&t->lock);
}

/* --- the thread --- */

static struct timespec in_s(double at_s)
{
	double whole = floor(at_s);
	return (struct timespec){.tv_sec = (time_t)whole, .tv_nsec = (long)((at_s - whole) * 1e9)};
}

/* With the lock; a sample is read without it. */
static void sample(struct telemetry *t)
{
	struct sample s;
	pthread_mutex_unlock(&t->lock);
	take_sample(t, &s);
	pthread_mutex_lock(&t->lock);
	add_sample(t, &s);
}

static void open_sources(struct telemetry *t)
{
	if (*t->gpu && nvml_open(&t->nvml, NULL) == 0)
		t->watch = nvml_watch_new(t->nvml, t->gpu);
	else if (!*t->gpu)
		t->rapl = rapl_new(t->config.powercap);
}

static void *run(void *arg)
{
	struct telemetry *t = arg;
	pthread_setname_np(pthread_self(), "telemetry");
	open_sources(t);
	pthread_mutex_lock(&t->lock);
	sample(t);
	double next_s = t->at_s, report_s = t->at_s + t->config.first_s;
	for (bool last = false; !last;) {
		next_s = MAX(next_s + t->config.sample_s, t->at_s);
		struct timespec until = in_s(next_s);
		while (!t->stop && monotonic_s() < next_s)
			pthread_cond_timedwait(&t->wake, &t->lock, &until);
		last = t->stop;
		sample(t);
		if (!last && t->at_s < report_s)
			continue;
		report(t);
		report_s = t->at_s + t->config.report_s;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* --- life --- */

static void destroy(struct telemetry *t)
{
	nvml_watch_free(t->watch);
	nvml_close(t->nvml);
	rapl_free(t->rapl);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void begin(struct telemetry *t)
{
	t->reading = nothing_read;
	t->first_ecc = t->epoch_vram_mib = NVML_UNKNOWN;
	t->joules = t->watts = t->counted_j = NAN;
	t->at_s = t->epoch_s = monotonic_s();
	t->cpu_s = procstat_cpu_seconds();
	begin_report(t);
}

struct telemetry *telemetry_new(const struct telemetry_config *config)
{
	pthread_condattr_t attr;
	struct telemetry *t = xcalloc(1, sizeof(*t));
	t->config = *config;
	t->config.sample_s = config->sample_s > 0 ? config->sample_s : SAMPLE_S;
	t->config.first_s = config->first_s > 0 ? config->first_s : FIRST_S;
	t->config.report_s = config->report_s > 0 ? config->report_s : REPORT_S;
	snprintf(t->gpu, sizeof(t->gpu), "%s", config->gpu ? config->gpu : "");
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	begin(t);
	atomic_fetch_add(&n_active, 1);
	t->running = pthread_create(&t->thread, NULL, run, t) == 0;
	if (t->running)
		return t;
	atomic_fetch_sub(&n_active, 1);
	destroy(t);
	return NULL;
}

void telemetry_stop(struct telemetry *t)
{
	if (!t || t->stop)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	struct timespec until = in_s(monotonic_s() + JOIN_S);
	t->running = pthread_clockjoin_np(t->thread, NULL, CLOCK_MONOTONIC, &until) != 0;
	atomic_fetch_sub(&n_active, 1);
	pthread_mutex_lock(&t->lock);
	if (t->running) /* the driver hangs: should it answer one day, nobody listens */
		t->config.events = NULL;
	pthread_mutex_unlock(&t->lock);
}

void telemetry_free(struct telemetry *t)
{
	telemetry_stop(t);
	if (t && !t->running)
		destroy(t);
}

/* --- asking it --- */

void telemetry_epoch(struct telemetry *t, struct telemetry_epoch *ret)
{
	*ret = (struct telemetry_epoch){NAN, NAN, NAN};
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	double now_s = monotonic_s(), seconds = now_s - t->epoch_s;
	/* what has come since the last sample is not known yet: as before; the next epoch gets what that was wrong */
	double joules = t->joules + (isnan(t->watts) ? 0 : t->watts * (now_s - t->at_s));
	if (!isnan(joules)) {
		ret->joules = MAX(joules - t->epoch_j, 0);
		ret->watts = seconds > 0 ? ret->joules / seconds : NAN;
		t->epoch_j = joules;
		t->epoch_s = now_s;
	}
	ret->vram_mib = t->epoch_vram_mib == NVML_UNKNOWN ? NAN : (double)t->epoch_vram_mib;
	t->epoch_vram_mib = vram_mib(t, &t->reading);
	pthread_mutex_unlock(&t->lock);
}

char *telemetry_trouble(struct telemetry *t, char *buf)
{
	*buf = '\0';
	if (!t)
		return buf;
	pthread_mutex_lock(&t->lock);
	memcpy(buf, t->trouble, TELEMETRY_TROUBLE_MAX);
	pthread_mutex_unlock(&t->lock);
	return buf;
}
