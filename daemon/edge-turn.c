/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns: how many handshakes are worked on at once, so that a crowd of them does not delay the requests of others.
 *
 * A step of a handshake costs a hundred times what a request costs. A serving thread that is handed sixty of them works
 * through all before it looks at its other connections. So no more than a few a thread are under way; who has to wait
 * for its peer gives its turn back, and the others stand in two queues: those that have begun before those that have
 * not. Slow clients hold no turn.
 */
#include "edge.h"

#include <sys/eventfd.h>

enum { A_THREAD = 2 }; /* one being worked on, and one that is there when it is done */

void
edge_turns_init(struct edge_turns *turns)
{
	pthread_mutex_init(&turns->lock, NULL);
	turns->most = A_THREAD;
	for (size_t i = 0; i < EDGE_QUEUES; i++)
		turns->last[i] = &turns->first[i];
}

void
edge_turns_allow(struct edge_turns *turns, size_t threads)
{
	turns->most = A_THREAD * (unsigned) threads;
}

static void
unlink_queued(struct edge_turns *turns, struct edge_connection *connection)
{
	*connection->turn_link = connection->turn_next;
	if (connection->turn_next)
		connection->turn_next->turn_link = connection->turn_link;
	else
		turns->last[connection->turn_queue] = connection->turn_link;
	turns->queued--;
	stats_add(connection->endpoint->stats, EDGE_QUEUED, (uint64_t) -1);
}

bool
edge_turn_take(struct edge_connection *connection)
{
	struct edge_turns *turns = &connection->endpoint->turns;
	pthread_mutex_lock(&turns->lock);
	bool taken = turns->running < turns->most;
	if (connection->turn == EDGE_TURN_QUEUED) {
		taken = false; /* it stands there already */
	} else if (taken) {
		turns->running++;
		connection->turn = EDGE_TURN_TAKEN;
	} else {
		unsigned queue = connection->state == EDGE_WAITING;
		connection->turn = EDGE_TURN_QUEUED;
		connection->turn_queue = queue;
		connection->turn_next = NULL;
		connection->turn_link = turns->last[queue];
		*turns->last[queue] = connection;
		turns->last[queue] = &connection->turn_next;
		turns->queued++;
		stats_add(connection->endpoint->stats, EDGE_QUEUED, 1);
		stats_add(connection->endpoint->stats, EDGE_QUEUED_TOTAL, 1);
	}
	pthread_mutex_unlock(&turns->lock);
	return taken;
}

void
edge_turn_give(struct edge_connection *connection)
{
	struct edge_turns *turns = &connection->endpoint->turns;
	bool next = false;
	pthread_mutex_lock(&turns->lock);
	if (connection->turn == EDGE_TURN_TAKEN) {
		turns->running--;
		next = turns->queued > 0;
	} else if (connection->turn == EDGE_TURN_QUEUED) {
		unlink_queued(turns, connection);
	}
	connection->turn = EDGE_TURN_NONE;
	pthread_mutex_unlock(&turns->lock);
	if (next)
		(void) eventfd_write(connection->endpoint->wake, 1);
}

bool
edge_turn_next(struct endpoint *endpoint, int *ret_fd, uint32_t *ret_number)
{
	struct edge_turns *turns = &endpoint->turns;
	pthread_mutex_lock(&turns->lock);
	struct edge_connection *connection = turns->first[0] ? turns->first[0] : turns->first[1];
	bool found = connection && turns->running < turns->most;
	if (found) {
		unlink_queued(turns, connection);
		turns->running++;
		connection->turn = EDGE_TURN_TAKEN;
		*ret_fd = connection->fd;
		*ret_number = connection->number;
	}
	pthread_mutex_unlock(&turns->lock);
	return found;
}
