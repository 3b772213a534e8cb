/* doctor: what computes: the worker, the processor, GPUs, and the libraries they need; see doctor.h.  What a device is
 * and why it does not train is the worker's word (sweep-worker --devices). */
#include "ctl/doctor.h"
#include "ctl/format.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_backend(const struct doctor *d, const char *name)
{
	const json_t *backends = json_object_get(d->found, "backends");
	size_t i;
	json_t *backend;

	json_array_foreach(backends, i, backend) if (str_eq(json_string_value(backend), name)) return true;
	return false;
}

void doctor_worker(struct doctor *d)
{
	if (!d->worker)
		doctor_add(d, HEALTH_FAIL, "worker", "install sweep-worker beside sweepd", "sweep-worker is not there");
	else if (!d->worker_version || !d->found)
		doctor_add(d, HEALTH_FAIL, "worker", "run it by hand: sweep-worker --devices", "%s does not %s",
			   d->worker, d->worker_version ? "say what it can train on" : "start");
	else if (has_backend(d, "cpu") || has_backend(d, "cuda"))
		doctor_add(d, HEALTH_OK, "worker", NULL, "%s", d->worker_version);
	else
		doctor_add(d, HEALTH_WARN, "worker", "build with oneDNN (libdnnl-dev)",
			   "%s: the plain reference only, very slow", d->worker_version);
}

/* The worker's word on the device of that kind number `index`, or NULL. */
static const json_t *device_of(const struct doctor *d, const char *kind)
{
	size_t i;
	json_t *device;

	json_array_foreach(json_object_get(d->found, "devices"), i,
			   device) if (str_eq(json_str_or(device, "kind", ""), kind)) return device;
	return NULL;
}

void doctor_cpu(struct doctor *d)
{
	const struct machine *m = &d->machine;
	const json_t *cpu = device_of(d, "cpu");
	const char *amp = json_str_or(cpu, "amp", NULL), *version = json_str_or(cpu, "version", NULL);
	autofree char *library = version ? xasprintf("oneDNN %s", version) : xstrdup("no oneDNN");
	autofree char *precision = amp       ? xasprintf("AMP %s", amp)
				   : version ? xstrdup("AMP off, fp32 (no AVX512-BF16 or AMX)")
					     : xstrdup("AMP off (no cpu backend)");

	doctor_add(d, HEALTH_OK, "cpu", NULL, "%s, %d thread%s, %s; %s, %s", m->cpu[0] ? m->cpu : m->arch, m->cores,
		   m->cores == 1 ? "" : "s", m->isa, library, precision);
}

/* --- GPUs --- */

static bool file_begins(const char *path, const char *text)
{
	autofile FILE *f = fopen(path, "re");
	char line[64] = "";

	return f && fgets(line, sizeof(line), f) && strncmp(line, text, strlen(text)) == 0;
}

/* NVIDIA's display controllers on the PCI bus. */
static int gpus_on_the_bus(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	const struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir))) {
		autofree char *vendor = xasprintf("/sys/bus/pci/devices/%s/vendor", entry->d_name);
		autofree char *class = xasprintf("/sys/bus/pci/devices/%s/class", entry->d_name);
		n += file_begins(vendor, "0x10de") && file_begins(class, "0x03");
	}
	if (dir)
		closedir(dir);
	return n;
}

/* No driver answered: why there is no GPU, of the reasons there are. */
static void say_no_gpu(struct doctor *d)
{
	int n = gpus_on_the_bus();
	bool kernel = access("/proc/driver/nvidia/version", F_OK) == 0;

	if (kernel && access("/dev/nvidiactl", F_OK) < 0)
		doctor_add(d, HEALTH_WARN, "cuda",
			   "start the container with --gpus all (or --device nvidia.com/gpu=all)",
			   "the host has an NVIDIA driver, but its devices are not in this container");
	else if (kernel)
		doctor_add(d, HEALTH_WARN, "cuda",
			   "install the driver's libraries (libnvidia-ml1, libcuda1) of its version",
			   "the NVIDIA driver is loaded, its library libnvidia-ml.so.1 is not found");
	else if (n)
		doctor_add(d, HEALTH_WARN, "cuda", "sudo apt install nvidia-driver",
			   "%d NVIDIA device%s on the PCI bus, but no driver; training uses the CPU", n,
			   n == 1 ? "" : "s");
	else
		doctor_add(d, HEALTH_NONE, "cuda", NULL, "no NVIDIA device on the PCI bus; training uses the CPU");
}

/* A device file that is there and not ours to open; NULL when there is none. */
static const char *forbidden_file(void)
{
	static const char *const files[] = {"/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (access(files[i], F_OK) == 0 && access(files[i], R_OK | W_OK) < 0)
			return files[i];
	return NULL;
}

static void say_gpu(struct doctor *d, const json_t *gpu)
{
	autofree char *name = xasprintf("cuda:%lld", (long long)json_int_or(gpu, "index", 0));
	autofree char *text = xstrdup(json_str_or(gpu, "name", "GPU"));
	int64_t sm = json_int_or(gpu, "sm", 0), bytes = json_int_or(gpu, "memory_bytes", 0),
		used = json_int_or(gpu, "memory_used_bytes", 0);
	char number[FORMAT_MAX];

	if (sm)
		text_append(&text, ", sm_%lld", (long long)sm);
	if (bytes)
		text_append(&text, ", %s", format_bytes((double)bytes, number));
	if (bytes && used > bytes / 10)
		text_append(&text, ", %s of it held by others", format_bytes((double)used, number));
	if (json_str_or(gpu, "in_use", NULL))
		text_append(&text, ", in use %s", json_str_or(gpu, "in_use", ""));
	if (json_bool_or(gpu, "trains", false))
		doctor_add(d, used > bytes / 10 ? HEALTH_WARN : HEALTH_OK, name, NULL, "%s", text);
	else
		doctor_add(d, HEALTH_NONE, name, NULL, "%s: not used, %s", text,
			   json_str_or(gpu, "reason", "no reason"));
}

void doctor_gpus(struct doctor *d)
{
	const json_t *nvml = json_object_get(d->found, "nvml");
	const char *problem = json_str_or(nvml, "problem", NULL), *forbidden = forbidden_file();
	size_t i;
	json_t *device;

	if (!d->found)
		return;
	if (forbidden)
		doctor_add(d, HEALTH_WARN, "cuda", "ls -l the file: join its group (often video), then log in again",
			   "no permission on %s", forbidden);
	else if (problem)
		doctor_add(d, HEALTH_WARN, "cuda", NULL, "%s", problem);
	else if (!device_of(d, "cuda"))
		say_no_gpu(d);
	json_array_foreach(json_object_get(d->found, "devices"), i,
			   device) if (str_eq(json_str_or(device, "kind", ""), "cuda")) say_gpu(d, device);
	if (device_of(d, "cuda") && !has_backend(d, "cuda"))
		doctor_add(d, HEALTH_WARN, "cuda", "build with -Dcuda=enabled where the headers of CUDA and cuDNN are",
			   "this build trains on the CPU only");
}

/* One line: what is there, and what is not.  They are needed for GPUs alone. */
void doctor_libraries(struct doctor *d)
{
	autofree char *there = NULL, *missing = NULL;
	bool needed = device_of(d, "cuda") && has_backend(d, "cuda");
	size_t i;
	json_t *library;

	json_array_foreach(json_object_get(d->found, "libraries"), i, library)
	{
		const char *path = json_str_or(library, "path", NULL), *problem = json_str_or(library, "problem", NULL);
		const char *what = json_str_or(library, "what", "?"), *name = json_str_or(library, "name", "?");
		if (path)
			text_append(&there, "%s%s %s", there ? ", " : "", what, json_str_or(library, "version", "?"));
		else if (problem)
			text_append(&missing, "%s%s", missing ? ", " : "", problem);
		else
			text_append(&missing, "%s%s (%s)", missing ? ", " : "", name, what);
	}
	if (!there && !missing)
		return;
	doctor_add(d,
		   !missing ? HEALTH_OK
		   : needed ? HEALTH_WARN
			    : HEALTH_NONE,
		   "libs", missing && needed ? "install CUDA and cuDNN 9, or: pip install nvidia-cudnn-cu12" : NULL,
		   "%s%s%s%s%s", there ? there : "", there && missing ? "; " : "", missing ? "not found: " : "",
		   missing ? missing : "", needed || !missing ? "" : ". Only training on a GPU needs them");
}
