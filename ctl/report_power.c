/* What the best run drew: power over time, energy of each epoch; where its device reports power. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/plot.h"

#include <math.h>

struct power {
	double *minutes, *watts; /* of the stretches, at their ends; a gap where it did not train */
	size_t n;
	double *epochs, *watt_hours;
	size_t n_epochs;
	bool any_watts, any_energy;
};

#define GAP_S 60 /* longer without a stretch: it was stopped, or waited */

static void power_init(struct power *p, const struct report *rep)
{
	const struct report_run *run = rep->best[0];
	double begin = rep->n_samples ? (double)rep->samples[0].at_ms / 1000 - fmax(rep->samples[0].seconds, 0) : 0;

	*p = (struct power){.minutes = xcalloc(4 * rep->n_samples + 1, sizeof(double)),
			    .epochs = xcalloc(2 * run->n_epochs + 1, sizeof(double))};
	p->watts = p->minutes + 2 * rep->n_samples;
	p->watt_hours = p->epochs + run->n_epochs;
	for (size_t i = 0; i < rep->n_samples; i++) {
		const struct sample_row *s = &rep->samples[i];
		double before = i ? (double)(s->at_ms - s[-1].at_ms) / 1000 : 0;
		if (i && before > s->seconds + GAP_S) {
			p->minutes[p->n] = NAN;
			p->watts[p->n++] = NAN;
		}
		p->minutes[p->n] = ((double)s->at_ms / 1000 - begin) / 60;
		p->watts[p->n++] = s->watts;
		p->any_watts = p->any_watts || isfinite(s->watts);
	}
	p->n_epochs = run->n_epochs;
	for (size_t i = 0; i < run->n_epochs; i++) {
		p->epochs[i] = run->epochs[i].epoch;
		p->watt_hours[i] = run->epochs[i].joules / 3600;
		p->any_energy = p->any_energy || isfinite(p->watt_hours[i]);
	}
}

static void power_fini(struct power *p)
{
	free(p->minutes);
	free(p->epochs);
}

static void draw(FILE *out, const char *id, const char *title, const char *unit, const char *desc, const char *x_title,
		 const double *x, const double *y, size_t n)
{
	struct plot_line line = {.x = x, .y = y, .n = n, .hue = 0, .strong = true, .title = title};
	struct plot plot = {.id = id,
			    .title = title,
			    .unit = unit,
			    .desc = desc,
			    .x_title = x_title,
			    .lines = &line,
			    .n = 1,
			    .zero = true,
			    .dots = n <= 12};

	plot_draw(out, &plot);
}

/* "In all 12.3 Wh, 231 W on average, 302 W at most." */
static void put_sums(FILE *out, const struct resources_row *used)
{
	fputs("<p class=\"sub\">", out);
	if (isfinite(used->watt_hours))
		fprintf(out, "%.3g Wh in all; ", used->watt_hours);
	if (isfinite(used->watts))
		fprintf(out, "%.4g W on average; ", used->watts);
	if (isfinite(used->watts_max))
		fprintf(out, "%.4g W at most, over half a minute; ", used->watts_max);
	fputs("of the GPU, or without one of the processor packages.</p>\n", out);
}

void report_power(const struct report *rep, FILE *out)
{
	struct power p;

	if (!rep->n_ranked)
		return;
	power_init(&p, rep);
	if (p.any_watts || p.any_energy) {
		fputs("<section>\n<h2>Power of the best run</h2>\n<div class=\"charts\">\n", out);
		if (p.any_watts)
			draw(out, "power", "Power", "W",
			     "Mean power of each stretch of half a minute, over the run's time.",
			     "minutes since its start", p.minutes, p.watts, p.n);
		if (p.any_energy)
			draw(out, "energy", "Energy per epoch", "Wh", "Energy of each epoch, training and testing.",
			     NULL, p.epochs, p.watt_hours, p.n_epochs);
		fputs("</div>\n", out);
		put_sums(out, &rep->best[0]->used);
		fputs("</section>\n", out);
	}
	power_fini(&p);
}
