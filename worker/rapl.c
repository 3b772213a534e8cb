/* See rapl.h.  The files: Documentation/power/powercap/powercap.rst of Linux. */
#include "rapl.h"

#include "common/fs.h"

#include <glob.h>
#include <math.h>

#define PACKAGES_MAX 16

struct package {
	char *dir;
	double last_uj, range_uj;
	double joules;
};

struct rapl {
	struct package packages[PACKAGES_MAX];
	size_t n;
};

/* NAN: it cannot be read. */
static double read_number(const char *dir, const char *name)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	autofree char *text = NULL;
	if (fs_read_file(path, 64, &text, NULL, NULL) < 0 || text[0] < '0' || text[0] > '9')
		return NAN;
	return strtod(text, NULL);
}

/* A zone of a processor, and not of all of the machine ("psys"), which contains it. */
static bool is_package(const char *dir)
{
	autofree char *path = xasprintf("%s/name", dir);
	autofree char *text = NULL;
	return fs_read_file(path, 64, &text, NULL, NULL) == 0 && strncmp(text, "package", strlen("package")) == 0;
}

static bool add_package(struct rapl *r, const char *dir)
{
	double uj = read_number(dir, "energy_uj"), range = read_number(dir, "max_energy_range_uj");
	if (isnan(uj) || isnan(range) || r->n == PACKAGES_MAX)
		return false;
	r->packages[r->n++] = (struct package){.dir = xstrdup(dir), .last_uj = uj, .range_uj = range};
	return true;
}

struct rapl *rapl_new(const char *dir)
{
	glob_t found;
	bool all = true;
	struct rapl *r = xcalloc(1, sizeof(*r));
	autofree char *pattern = xasprintf("%s/intel-rapl:*", dir ? dir : "/sys/class/powercap"); /* AMD's too */
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; all && i < found.gl_pathc; i++) {
			const char *zone = strrchr(found.gl_pathv[i], '/');
			bool part = strchr(strchr(zone, ':') + 1, ':'); /* intel-rapl:0:0: of package 0 */
			if (!part && is_package(found.gl_pathv[i]))
				all = add_package(r, found.gl_pathv[i]);
		}
		globfree(&found);
	}
	if (all && r->n > 0)
		return r;
	rapl_free(r);
	return NULL;
}

void rapl_free(struct rapl *r)
{
	for (size_t i = 0; r && i < r->n; i++)
		free(r->packages[i].dir);
	free(r);
}

double rapl_joules(struct rapl *r)
{
	double sum = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct package *p = &r->packages[i];
		double uj = read_number(p->dir, "energy_uj"), passed = uj - p->last_uj;
		if (!isnan(uj)) {
			p->joules += (passed < 0 ? passed + p->range_uj : passed) * 1e-6;
			p->last_uj = uj;
		}
		sum += isnan(uj) ? NAN : p->joules;
	}
	return sum;
}
