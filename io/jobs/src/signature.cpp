#include <eddy/jobs/signature.hpp>

#include <stdexcept>

namespace eddy::jobs {

namespace {

json empty_form(std::string_view task, json type) {
    return {{"task", task}, {"args", json::array()}, {"kwargs", json::object()}, {"options", json::object()}, {"subtask_type", std::move(type)}, {"immutable", false}};
}
json forms_of(const std::vector<signature>& all, const char* of) {
    if (all.empty()) throw std::invalid_argument(std::string("jobs::") + of + " of nothing");
    json list = json::array();
    for (const signature& s : all) list.push_back(s.form());
    return list;
}
void append_option(json& options, const char* name, const json& form) {
    if (!options.contains(name)) options[name] = json::array();
    options[name].push_back(form);
}

} // namespace

signature::signature(std::string_view task) : form_(empty_form(task, nullptr)) {}
signature signature::from(json form) {
    signature s;
    s.form_ = std::move(form);
    return s;
}
signature& signature::named(std::string_view name, json value) {
    form_["kwargs"][std::string(name)] = std::move(value);
    return *this;
}
signature& signature::immutable(bool yes) {
    form_["immutable"] = yes;
    return *this;
}
signature& signature::option(std::string_view name, json value) {
    form_["options"][std::string(name)] = std::move(value);
    return *this;
}
signature& signature::on_success(const signature& next) {
    append_option(form_["options"], "link", next.form());
    return *this;
}
signature& signature::on_error(const signature& next) {
    append_option(form_["options"], "link_error", next.form());
    return *this;
}

signature chain(std::vector<signature> steps) {
    json form = empty_form("celery.chain", "chain");
    form["kwargs"]["tasks"] = forms_of(steps, "chain");
    return signature::from(std::move(form));
}
signature group(std::vector<signature> members) {
    json form = empty_form("celery.group", "group");
    form["kwargs"]["tasks"] = forms_of(members, "group");
    return signature::from(std::move(form));
}
signature chord(const signature& header, const signature& body) {
    json form = empty_form("celery.chord", "chord");
    form["kwargs"] = {{"header", header.form()}, {"body", body.form()}, {"kwargs", json::object()}};
    return signature::from(std::move(form));
}

} // namespace eddy::jobs
