#include <eddy/errors.hpp>

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <typeinfo>

#include <fmt/format.h>

#include <eddy/detail/duration.hpp>

namespace eddy {
namespace {

std::string group_text(const std::vector<std::exception_ptr>& errors, std::string_view what) {
    std::string text(what);
    text += errors.size() == 1 ? ": 1 error" : ": " + std::to_string(errors.size()) + " errors";
    const char* separator = ": ";
    for (const std::exception_ptr& e : errors) {
        text += separator;
        text += detail::describe(e);
        separator = "; ";
    }
    return text;
}

} // namespace

timeout_error::timeout_error(std::chrono::nanoseconds limit, std::source_location site, std::string_view what)
    : std::runtime_error(fmt::format("{}{}timed out after {} ms (timeout set at {}:{})", what, what.empty() ? "" : " ",
                                     std::chrono::duration<double, std::milli>(limit).count(), site.file_name(), site.line())),
      limit_(limit), site_(site) {}

exception_group::exception_group(std::vector<std::exception_ptr> errors, std::string_view what)
    : errors_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(errors))),
      what_(std::make_shared<const std::string>(group_text(*errors_, what))) {}

void exception_group::rethrow_if_single() const {
    if (errors_->size() != 1) return;
    try {
        std::rethrow_exception(errors_->front());
    } catch (const exception_group& inner) {
        inner.rethrow_if_single();
    }
}

namespace detail {

void throw_not_a_number() {
    throw std::invalid_argument("a duration was NaN");
}

std::string describe(const std::exception_ptr& error) {
    if (!error) return "no exception";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (const operation_cancelled& c) {
        return c.reason().empty() ? "operation cancelled" : "operation cancelled: " + std::string(c.reason());
    } catch (...) {
        std::string text = "exception of type ";
        const std::type_info* type = abi::__cxa_current_exception_type();
        if (!type) return text + "unknown";
        int status = 0;
        const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
        text += status == 0 ? name.get() : type->name();
        return text;
    }
}

void throw_logic_error(const char* sentence) {
    throw std::logic_error(sentence);
}

} // namespace detail
} // namespace eddy
