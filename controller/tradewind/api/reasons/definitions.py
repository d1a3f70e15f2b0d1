"""An object is not accepted."""

from tradewind.api.reasons.section import Reason, Section

DEFINITIONS = Section(
    "An object is not accepted",
    "Condition Accepted of a Dag or Backfill, `status.reason` of a DagRun that is Failed before it starts, admission, "
    "and `tradewind validate`. The message names the field.",
    {
        "Cycle": Reason(
            "Tasks or groups wait for each other in a circle.", "Remove one of the dependencies that the message shows."
        ),
        "DuplicateDependency": Reason("`dependsOn` lists a name twice.", "Remove one of the two."),
        "DuplicateGroup": Reason("Two groups, or a group and a task, have the same name.", "Rename one of them."),
        "DuplicateName": Reason(
            "Two objects of a kind among the files have the same name.", "Rename one of them, or name fewer files."
        ),
        "DuplicateTask": Reason("Two tasks have the same name.", "Rename one of them."),
        "EmptyGroup": Reason("No task says that it is in the group.", "Set `group` in a task, or remove the group."),
        "InvalidLabel": Reason(
            "The label `tradewind.dev/bucket` is not that of the namespace.",
            "Remove the label; the controller sets it.",
        ),
        "InvalidMapping": Reason(
            "A `forEach` contradicts itself or names what there is not.", "Change it as the message says."
        ),
        "InvalidName": Reason(
            "The object has no name, or one that Kubernetes does not take.",
            "Use lower case letters, digits and dashes. In `waitFor.object.name`: see what the template becomes.",
        ),
        "InvalidParams": Reason(
            "A param's schema is wrong, or a run gives a value that does not fit it.",
            "Correct the schema or the value; the message has both.",
        ),
        "InvalidPodTemplate": Reason(
            "`podTemplate` sets what a Pod does not have, or what is Tradewind's own.",
            "Remove or correct the field that the message names.",
        ),
        "InvalidRequest": Reason(
            "`spec.request` of a run asks for something that does not go together.", "Change it as the message says."
        ),
        "InvalidSchedule": Reason(
            "A schedule cannot be read, or has no tick at all.", "Correct the cron expression or the dates."
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
        "InvalidTimeZone": Reason("There is no such time zone.", "Use an IANA name such as Europe/Berlin."),
        "MissingConnection": Reason(
            "`tradewind run` has no value for a connection of a task.",
            "Set the environment variables, or pass `--connections FILE`.",
        ),
        "MissingField": Reason("A required field is missing.", "Add it."),
        "MissingImage": Reason(
            "A task runs something on the cluster and has no image.", "Set `image` in the task or in `taskDefaults`."
        ),
        "NameTooLong": Reason(
            "The name of a Dag is too long for the names of its runs.", "Use a name of at most 47 characters."
        ),
        "TooLarge": Reason(
            "The object is too large, too deeply nested, or has too many dependencies.",
            "Move scripts into an image; put a `noop` task between large groups.",
        ),
        "UnknownDependency": Reason("`dependsOn` names no task and no group.", "Correct the name."),
        "UnknownField": Reason("There is no such field.", "Correct its name; the message has the nearest one."),
        "UnknownGroup": Reason("`group` names no group.", "Correct the name, or add the group to `spec.groups`."),
        "UnknownKind": Reason(
            "A file has a kind of tradewind.dev/v1alpha1 that does not exist.", "Use Dag, DagRun, Pool or Backfill."
        ),
    },
)
