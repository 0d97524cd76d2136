// The intrusive list of what is ready to run: linking and unlinking allocate nothing and cannot fail.
#pragma once

#include <cstddef>
#include <utility>

namespace eddy::detail {

/// Something that can be run once by the loop. Linked in at most one list at a time.
struct ready_node {
    explicit ready_node(void (*f)(ready_node&)) noexcept : run(f) {}
    ready_node(const ready_node&) = delete;
    ready_node& operator=(const ready_node&) = delete;
    ~ready_node() = default;

    [[nodiscard]] bool linked() const noexcept { return next != nullptr; }
    void unlink() noexcept {
        if (!next) return;
        prev->next = next;
        next->prev = prev;
        prev = next = nullptr;
    }

    ready_node* prev = nullptr;
    ready_node* next = nullptr;
    void (*run)(ready_node&); // on the loop thread; the node is unlinked before the call
};

class ready_list {
public:
    ready_list() noexcept : head_(nullptr) { head_.prev = head_.next = &head_; }
    ready_list(const ready_list&) = delete;
    ready_list& operator=(const ready_list&) = delete;
    ~ready_list() = default;

    [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }

    void push_back(ready_node& n) noexcept {
        n.prev = head_.prev;
        n.next = &head_;
        head_.prev->next = &n;
        head_.prev = &n;
    }
    ready_node& pop_front() noexcept {
        ready_node& n = *head_.next;
        n.unlink();
        return n;
    }
    /// Moves all nodes of `other` behind ours.
    void splice_back(ready_list& other) noexcept {
        if (other.empty()) return;
        ready_node* first = other.head_.next;
        ready_node* last = other.head_.prev;
        first->prev = head_.prev;
        head_.prev->next = first;
        last->next = &head_;
        head_.prev = last;
        other.head_.prev = other.head_.next = &other.head_;
    }

private:
    ready_node head_;
};

/// A doubly linked list of `Node`s that carry `prev_link` and `next_link`: wait lists, task lists, scope children.
template <class Node>
struct list_link {
    Node* prev = nullptr;
    Node* next = nullptr;
    bool in_list = false;
};

template <class Node, list_link<Node> Node::*Link>
class intrusive_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] Node* front() const noexcept { return head_; }
    [[nodiscard]] static Node* next(const Node& n) noexcept { return (n.*Link).next; }
    [[nodiscard]] static bool linked(const Node& n) noexcept { return (n.*Link).in_list; }
    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t n = 0;
        for (Node* p = head_; p; p = next(*p)) ++n;
        return n;
    }

    void push_back(Node& n) noexcept {
        list_link<Node>& l = n.*Link;
        l.prev = tail_;
        l.next = nullptr;
        l.in_list = true;
        (tail_ ? (tail_->*Link).next : head_) = &n;
        tail_ = &n;
    }
    void push_front(Node& n) noexcept {
        list_link<Node>& l = n.*Link;
        l.prev = nullptr;
        l.next = head_;
        l.in_list = true;
        (head_ ? (head_->*Link).prev : tail_) = &n;
        head_ = &n;
    }
    void erase(Node& n) noexcept {
        list_link<Node>& l = n.*Link;
        (l.prev ? (l.prev->*Link).next : head_) = l.next;
        (l.next ? (l.next->*Link).prev : tail_) = l.prev;
        l = {};
    }
    Node* pop_front() noexcept {
        Node* n = head_;
        if (n) erase(*n);
        return n;
    }

private:
    Node* head_ = nullptr;
    Node* tail_ = nullptr;
};

} // namespace eddy::detail
