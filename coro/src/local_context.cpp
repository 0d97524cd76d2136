#include <eddy/detail/local_context.hpp>

#include <algorithm>
#include <new>
#include <vector>

#include <eddy/detail/scheduler.hpp>
#include <eddy/detail/task_context.hpp>

namespace eddy::detail {

// Programs have a handful of task-locals: a search through an array is faster than any tree.
struct local_map {
    struct entry {
        std::uint64_t key;
        local_context::value_ptr value;
    };
    [[nodiscard]] std::vector<entry>::iterator at(std::uint64_t key) noexcept {
        return std::find_if(entries.begin(), entries.end(), [key](const entry& e) { return e.key == key; });
    }
    std::atomic<std::size_t> references{1};
    std::vector<entry> entries;
};

void local_context::retain(local_map& m) noexcept {
    m.references.fetch_add(1, std::memory_order_relaxed);
}
void local_context::release(local_map& m) noexcept {
    if (m.references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete &m;
}

const void* local_context::find(std::uint64_t key) const noexcept {
    if (!map_) return nullptr;
    const auto e = map_->at(key);
    return e == map_->entries.end() ? nullptr : e->value.get();
}

local_context::value_ptr local_context::share(std::uint64_t key) const noexcept {
    if (!map_) return nullptr;
    const auto e = map_->at(key);
    return e == map_->entries.end() ? nullptr : e->value;
}

void local_context::set(std::uint64_t key, value_ptr value) {
    local_context changed = *this;
    if (!map_ || map_->references.load(std::memory_order_acquire) > 2) { // somebody besides `changed` and us has it
        auto copy = std::make_unique<local_map>();
        if (map_) copy->entries = map_->entries;
        changed = local_context();
        changed.map_ = copy.release();
    }
    local_map& m = *changed.map_;
    if (const auto e = m.at(key); e != m.entries.end()) {
        e->value.swap(value); // the old value goes last: its destructor is users' code
        if (!e->value) m.entries.erase(e);
    } else if (value) {
        m.entries.push_back({key, std::move(value)});
    }
    std::swap(map_, changed.map_);
    locals_in_use.store(true, std::memory_order_relaxed);
}

void local_context::restore(std::uint64_t key, const local_context& before) noexcept {
    try {
        set(key, before.share(key));
    } catch (const std::bad_alloc&) {
        *this = before;
    }
}

std::uint64_t next_local_key() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    return ++last;
}

namespace {

[[gnu::noinline]] local_context& thread_locals() noexcept {
    thread_local local_context context;
    return context;
}

} // namespace

local_context& current_locals() noexcept {
    const thread_state& here = current();
    if (here.task) return here.task->locals();
    return here.locals ? *here.locals : thread_locals();
}

locals_entered::locals_entered(local_context& c) noexcept : outer_(std::exchange(current().locals, &c)) {}
locals_entered::~locals_entered() {
    current().locals = outer_;
}

} // namespace eddy::detail
