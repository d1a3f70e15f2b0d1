"""An object is not accepted."""

from tradewind.api.reasons.section import Reason, Section

DEFINITIONS = Section(
    "An object is not accepted",
    "Condition Accepted of a Dag or Backfill, `status.reason` of a DagRun that is Failed before it starts, admission, "
    "and `tradewind validate`. The message names the field.",
    {
        "Cycle": Reason(
            "Tasks or groups depend on each other in a cycle.", "Remove one of the dependencies that the message shows."
        ),
        "DuplicateDependency": Reason("`dependsOn` lists a name twice.", "Remove one of the two."),
        "DuplicateGroup": Reason("Two groups, or a group and a task, have the same name.", "Rename one of them."),
        "DuplicateName": Reason(
            "Two objects of a kind in the files have the same name.", "Rename one of them, or pass fewer files."
        ),
        "DuplicateTask": Reason("Two tasks have the same name.", "Rename one of them."),
        "EmptyGroup": Reason("The group has no tasks.", "Set `group` in a task, or remove the group."),
        "InvalidLabel": Reason(
            "The label `tradewind.dev/bucket` does not match the namespace.",
            "Remove the label; the controller sets it.",
        ),
        "InvalidMapping": Reason(
            "A `forEach` is contradictory, or its source does not exist.", "Change it as the message says."
        ),
        "InvalidName": Reason(
            "The object has no name, or its name is not valid in Kubernetes.",
            "Use lower case letters, digits and dashes. For `waitFor.object.name`: check the rendered template.",
        ),
        "InvalidParams": Reason(
            "The schema of a param is invalid, or a value does not match it.",
            "Correct the schema or the value; the message has both.",
        ),
        "InvalidPodTemplate": Reason(
            "`podTemplate` sets an unknown field, or one that is reserved for Tradewind.",
            "Remove or correct the field that the message names.",
        ),
        "InvalidRequest": Reason(
            "Fields of `spec.request` of a run contradict each other, or name unknown tasks.",
            "Change it as the message says.",
        ),
        "InvalidSchedule": Reason(
            "A schedule is invalid or has no ticks.", "Correct the cron expression or the dates."
        ),
        "InvalidSpec": Reason(
            "A value has the wrong type or is out of bounds.", "Correct it; see [fields](fields.md)."
        ),
        "InvalidTask": Reason(
            "Fields of a task contradict each other, or one is missing.", "Change it as the message says."
        ),
        "InvalidTemplate": Reason(
            "A template cannot be parsed, or names a value that does not exist.",
            "Correct the name; [data](../data.md) lists all values.",
        ),
        "InvalidTimeZone": Reason("The time zone does not exist.", "Use an IANA name such as Europe/Berlin."),
        "MissingConnection": Reason(
            "`tradewind run` has no value for a connection of a task.",
            "Set the environment variables, or pass `--connections FILE`.",
        ),
        "MissingField": Reason("A required field is missing.", "Add it."),
        "MissingImage": Reason(
            "A task runs something on the cluster and has no image.", "Set `image` in the task or in `taskDefaults`."
        ),
        "NameTooLong": Reason(
            "The name of the Dag is too long: its runs are named after it.", "Use a name of at most 47 characters."
        ),
        "TooLarge": Reason(
            "The object is too large, too deeply nested, or has too many dependencies.",
            "Move scripts into an image; put a `noop` task between large groups.",
        ),
        "UnknownDependency": Reason("`dependsOn` contains an unknown task or group.", "Correct the name."),
        "UnknownField": Reason("The field does not exist.", "Correct its name; the message suggests the closest one."),
        "UnknownGroup": Reason(
            "`group` contains an unknown group.", "Correct the name, or add the group to `spec.groups`."
        ),
        "UnknownKind": Reason(
            "A file has a kind of tradewind.dev/v1alpha1 that does not exist.", "Use Dag, DagRun, Pool or Backfill."
        ),
    },
)
