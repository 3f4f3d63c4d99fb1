/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/core/engine/yaml.h"

/*
 * Shell-style expansion of the text of a standalone file, before the YAML is parsed:
 *
 *         $NAME ${NAME}      value of the environment variable; unset: an error that names it
 *         ${NAME:-text}      `text` if NAME is unset or empty
 *         $$                 one $
 *         unix:~/            unix:$HOME/
 *         $apr1$salt$hash    unchanged: a complete password hash, as htpasswd(1) writes it
 *
 * NAME is a letter or _ followed by letters, digits and _. Any other $ stays unchanged, so that regular
 * expressions such as ^/a$ need no escape. Lines whose first character after blanks is # are not expanded. A
 * value must not contain a line break: it could change the structure of the file and the line numbers in
 * messages.
 */
struct expansion {
	struct span text; /* the input itself if nothing was expanded */
	const struct yaml_shift *shift_list; /* arena */
	uint32_t shift_count;
};

const char *expand_environment(const char *name); /* getenv() */
/*
 * `lookup` is expand_environment() or a replacement. 0, -ENOMEM, or -EINVAL with one error per invalid
 * variable.
 */
int expand_text(struct arena *arena, struct span file, struct span text,
		const char *(*lookup)(const char *name), struct config_report *report, struct expansion *ret);
