/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "user/base/json_writer.h"
#include "user/gateway/options.h"

/*
 * `headgate explain route NAME -f FILE`: for each rule of that route the policies that apply to it and to its
 * backends, where each is written, and which others lost and why. Writes "routes": […] into the open object.
 * 0, -ENOENT after one line on standard error that lists the routes, -EINVAL, -ENOMEM, or -errno.
 */
int explain_route(struct options *options, const char *name, struct config_report *report,
		  struct json_writer *w);
