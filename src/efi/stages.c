/* Doing and undoing; see stages.h. No state. */
#include "efi/stages.h"
#include "base/mem.h"

bool stages_has(const struct stage *stages, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(stages[i].name, name))
			return true;
	return false;
}

int stages_run(const struct stage *stages, size_t count, const char *last, void *context,
	const char **ret_failed)
{
	size_t entered = 0;
	int err = 0;

	while (!err && entered < count) {
		const struct stage *s = &stages[entered];

		err = s->enter(context);
		if (err) {
			*ret_failed = s->name;
			break;
		}
		entered++;
		if (last && last[0] && !strcmp(s->name, last))
			break;
	}
	while (entered--)
		if (stages[entered].leave)
			stages[entered].leave(context);
	return err;
}
