/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/cluster_status.h"

#include "admin/dump/status.h"
#include "config/snapshot.h"
#include "user/base/log.h"
#include "user/net/host_addresses.h"
#include "user/net/own_address.h"

void cluster_status_write(struct cluster *cluster, const struct snapshot *snapshot)
{
	struct host_addresses host;
	struct text status;

	text_init(&status);
	host_addresses_read(&host);
	status_write(snapshot, &(struct status_host){ host.list, host.count, own_address_has, true },
		     &status);
	if (text_error(&status))
		log_error("no memory for the status of the objects: it is not written");
	else
		status_writer_want(&cluster->writer, text_span(&status));
	text_done(&status);
}
