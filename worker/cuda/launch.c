#include "launch.h"

static struct launch *append(struct launch_list *list, enum launch_kind kind, size_t bytes, const char *label, va_list ap)
{
	if (list->n == list->room) {
		list->room = list->room ? 2 * list->room : 256;
		list->items = xrealloc_array(list->items, (size_t)list->room, sizeof(*list->items));
	}
	struct launch *launch = &list->items[list->n++];
	*launch = (struct launch){.kind = kind, .bytes = bytes};
	vsnprintf(launch->label, sizeof(launch->label), label, ap);
	return launch;
}

struct launch *launch_kernel(struct launch_list *list, enum kernel_id id, enum cell cell, size_t bytes, const char *label,
			     ...)
{
	va_list ap;
	va_start(ap, label);
	struct launch *launch = append(list, LAUNCH_KERNEL, bytes, label, ap);
	va_end(ap);
	launch->kernel.id = id;
	launch->kernel.cell = cell;
	return launch;
}

struct launch *launch_conv(struct launch_list *list, const struct conv_shape *shape, void *x, void *w, void *y,
			   const char *label, ...)
{
	size_t bytes = cell_size(shape->cell) * (conv_x_count(shape) + conv_w_count(shape) + conv_y_count(shape));
	va_list ap;
	va_start(ap, label);
	struct launch *launch = append(list, LAUNCH_CONV, bytes, label, ap);
	va_end(ap);
	launch->conv.shape = *shape;
	launch->conv.x = x;
	launch->conv.w = w;
	launch->conv.y = y;
	return launch;
}

void launch_list_fini(struct launch_list *list)
{
	free(list->items);
	*list = (struct launch_list){0};
}
