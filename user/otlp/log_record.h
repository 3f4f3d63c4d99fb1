/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/obs/record.h"
#include "user/otlp/otlp_writer.h"

/*
 * Writes a LogRecord (opentelemetry-proto 1, logs/v1/logs.proto) of an entry of the access log. Its
 * attributes are the fields of the line (user/obs/access_fields.def), numbers as numbers, and those that the
 * policy adds, in place of usual ones of the same name; those that it removes are left out. facts: with
 * scratch memory; NULL: not known, and the policy adds none. wall_ns: since 1970.
 */
void log_record_write(struct otlp_writer *w, const struct access_log_policy *policy,
		      const struct stream_record *record, const struct expression_facts *facts,
		      uint64_t wall_ns);
