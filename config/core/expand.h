/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/core/yaml.h"

/*
 * Shell-style expansion of the text of a standalone file, before it is read as YAML:
 *
 *	$NAME ${NAME}      value of the environment variable; not set: an error that names it
 *	${NAME:-text}      `text` when NAME is not set or empty
 *	$$                 one $
 *	unix:~/            unix:$HOME/
 *
 * NAME is a letter or _ followed by letters, digits and _. Any other $ stays as it is, so that regular
 * expressions such as ^/a$ need no care. Lines whose first character other than blanks is # are not touched.
 *A value may not contain a line break: it could change the structure of the file, and lines would no longer
 *be where messages say.
 */
struct expansion {
	struct span text; /* the input itself when nothing was expanded */
	const struct yaml_shift *shift_list; /* arena */
	uint32_t shift_count;
};

/* `lookup` is getenv() or its stand-in. 0, -ENOMEM, or -EINVAL with one error for each variable at fault. */
int expand_text(struct arena *arena, struct span file, struct span text,
		const char *(*lookup)(const char *name), struct config_report *report, struct expansion *ret);
