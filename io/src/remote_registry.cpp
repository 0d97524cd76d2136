// The functions and exceptions that this program has registered. The lists grow while static objects are made, and when a library
// is loaded later; they have no constructor of their own, so that nothing can come too early.
#include "remote_registry.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <unordered_map>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/process_pool.hpp>

namespace eddy::wire {

void codec<std::system_error>::write(writer& out, const std::system_error& e) {
    const std::string message = e.code().message();
    std::string_view text = e.what(); // the constructor will add the message again
    if (text.ends_with(message)) text.remove_suffix(message.size());
    if (text.ends_with(": ")) text.remove_suffix(2);
    const bool known = e.code().category() == std::generic_category() || e.code().category() == std::system_category();
    out.write(known ? e.code() : std::make_error_code(std::errc::io_error));
    out.write(text);
}
std::system_error codec<std::system_error>::read(reader& in) {
    const auto code = in.read<std::error_code>();
    return {code, in.read<std::string>()};
}

} // namespace eddy::wire

namespace eddy {

remote_error::remote_error(std::string type, const std::string& message)
    : std::runtime_error(message.empty() ? type : type + ": " + message), type_(std::move(type)),
      prefix_(message.empty() ? type_.size() : type_.size() + 2) {}

namespace detail {
namespace {

std::mutex registry_lock;
constinit remote_function* first_function = nullptr;
constinit exception_codec* first_exception = nullptr;

/// What the list says, to be looked up; made anew when the list has grown.
class function_index {
public:
    const remote_function* at(void (*address)()) {
        bring_up_to_date();
        const auto i = by_address_.find(reinterpret_cast<void*>(address));
        return i == by_address_.end() ? nullptr : i->second;
    }
    const remote_function* of(std::uint64_t id) {
        bring_up_to_date();
        const auto i = by_id_.find(id);
        return i == by_id_.end() ? nullptr : i->second;
    }

private:
    void bring_up_to_date() {
        for (const remote_function* f = first_function; f != known_; f = f->next) {
            by_address_[reinterpret_cast<void*>(f->address)] = f;
            by_id_[f->id] = f;
        }
        known_ = first_function;
    }
    std::unordered_map<void*, const remote_function*> by_address_;
    std::unordered_map<std::uint64_t, const remote_function*> by_id_;
    const remote_function* known_ = nullptr; // the first when we last looked: new ones are put before it
};

function_index& known_functions() {
    static function_index i;
    return i;
}

const exception_codec* codec_of(const char* key) {
    const std::lock_guard lock(registry_lock);
    for (const exception_codec* c = first_exception; c; c = c->next) {
        if (std::string_view(c->type->name()) == key) return c;
    }
    return nullptr;
}

/// Of this process: two types in anonymous namespaces may have the same name.
const exception_codec* codec_of(const std::type_info& type) {
    const std::lock_guard lock(registry_lock);
    for (const exception_codec* c = first_exception; c; c = c->next) {
        if (*c->type == type) return c;
    }
    return nullptr;
}

/// The exception that is being handled, if all of it can be sent.
bool write_exception_itself(std::vector<std::byte>& bytes, const exception_codec* codec) {
    if (!codec) return false;
    try {
        wire::writer out(bytes);
        codec->write(out);
        return true;
    } catch (...) { // then its name and its text have to do
        return false;
    }
}

std::string readable(const char* key) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(key, nullptr, nullptr, &status), &std::free);
    return status == 0 ? text.get() : key;
}

/// Exceptions of the standard library and of ours.
struct usual_exceptions {
    remote_exception<std::logic_error> logic;
    remote_exception<std::domain_error> domain;
    remote_exception<std::invalid_argument> argument;
    remote_exception<std::length_error> length;
    remote_exception<std::out_of_range> range_of;
    remote_exception<std::runtime_error> runtime;
    remote_exception<std::range_error> range;
    remote_exception<std::overflow_error> overflow;
    remote_exception<std::underflow_error> underflow;
    remote_exception<std::system_error> system;
    remote_exception<std::bad_alloc> memory;
    remote_exception<closed_resource> closed;
    remote_exception<broken_resource> broken;
    remote_exception<wire::malformed> malformed;
};

} // namespace

void add_remote(remote_function& f) noexcept {
    const std::lock_guard lock(registry_lock);
    f.next = std::exchange(first_function, &f);
}

const remote_function& remote_at(void (*address)()) {
    const std::lock_guard lock(registry_lock);
    if (const remote_function* const f = known_functions().at(address)) return *f;
    throw std::logic_error("process_pool: this function is not registered; write EDDY_REMOTE(its_name) at namespace scope, after its declaration");
}

const remote_function* remote_of(std::uint64_t id) {
    const std::lock_guard lock(registry_lock);
    return known_functions().of(id);
}

void add_exception(exception_codec& c) noexcept {
    const std::lock_guard lock(registry_lock);
    c.next = std::exchange(first_exception, &c);
}

void write_failure(wire::writer& out, std::uint32_t item) {
    static const usual_exceptions usual;
    const std::type_info* const type = abi::__cxa_current_exception_type();
    const char* const key = type ? type->name() : "";
    std::vector<std::byte> itself;
    const bool whole = write_exception_itself(itself, type ? codec_of(*type) : nullptr);
    std::string what;
    try {
        throw;
    } catch (const std::exception& e) {
        what = e.what();
    } catch (...) { // says nothing but its type
    }
    out.write(item);
    out.write(std::string_view(key));
    out.write(what);
    out.write(whole);
    if (whole) out.bytes(itself);
}

remote_failure read_failure(wire::reader in) {
    const auto item = in.read<std::uint32_t>();
    auto key = in.read<std::string>();
    auto what = in.read<std::string>();
    const bool registered = in.read<bool>();
    return {item, readable(key.c_str()), std::move(what), registered, std::move(key), in};
}

bool remote_failure::is_cancellation() const noexcept {
    return key == typeid(operation_cancelled).name();
}
bool remote_failure::is_bad_alloc() const noexcept {
    return key == typeid(std::bad_alloc).name();
}

void remote_failure::raise() {
    static const usual_exceptions usual;
    if (registered) {
        if (const exception_codec* const codec = codec_of(key.c_str())) codec->raise(rest);
    }
    throw remote_error(type, what);
}

} // namespace detail
} // namespace eddy
