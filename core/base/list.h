/* Intrusive doubly linked list. A node is in at most one list; list_del on an unlinked (zeroed or self) node is a no-op. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core/base/own.h"
struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l || l->next == NULL; }
static inline void list_add_tail(struct list *head, struct list *n) {
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}
static inline void list_del(struct list *n) {
    if (n->next == NULL)
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}
static inline struct list *list_pop(struct list *head) {
    if (list_empty(head))
        return NULL;
    struct list *n = head->next;
    head->next = n->next;
    n->next->prev = head;
    n->next = n->prev = NULL;
    return n;
}
#define list_entry(ptr, type, member) CONTAINER_OF(ptr, type, member)
#define list_each_safe(it, tmp, head)                                                                                  \
    (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)
