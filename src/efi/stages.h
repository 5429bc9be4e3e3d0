/*
 * Doing and undoing. The way to the guest is a list of stages; whatever happens, those that were
 * entered are left again in reverse order, each exactly once.
 */
#ifndef POSTERN_EFI_STAGES_H
#define POSTERN_EFI_STAGES_H

#include "base/types.h"

struct stage {
	const char *name; /* one word, as in the log and in the key `rehearse` */
	/* 0 or -E_...; a stage that fails has undone its own part. */
	int (*enter)(void *context);
	/* NULL if there is nothing to undo. */
	void (*leave)(void *context);
};

/*
 * Enters all stages, or those up to and including the one named last (NULL or empty: all), then
 * leaves them. 0, or the error of the stage that failed, which *ret_failed then names.
 */
int stages_run(const struct stage *stages, size_t count, const char *last, void *context,
	const char **ret_failed) must_check;

/* Is there a stage of this name? */
bool stages_has(const struct stage *stages, size_t count, const char *name);

#endif
