/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "user/base/json_writer.h"

/* The parts "streams" and "ends": one short object a row. */
void rows_write_streams(struct json_writer *w, const struct stream_list *list);
void rows_write_ends(struct json_writer *w, const struct stream_list *list);
/* What each close_reason means. */
void rows_write_words(struct json_writer *w);
